"""The Edgekit on the other side is the real one, in a process of its own behind a real sshd."""

from __future__ import annotations

import json
import os
import shlex
import signal
import subprocess
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.bad_input.command import EDGEKIT, Place, is_refusal
from tests.doubles.ssh_device import SshDevice
from tests.unit.toolkit.onnx_graphs import classifier, contract
from tests.unit.toolkit.remote.board import for_tensorrt
from toolkit.artifacts import manifest_path
from toolkit.build import build
from toolkit.cli.remote_run import measure_there
from toolkit.errors import EdgekitError, InputError, RemoteError
from toolkit.latency import Latency, ratio_between, read_latency, write_latency
from toolkit.onnx_model.file import write_onnx
from toolkit.progress import Progress
from toolkit.remote.connection import open_connection
from toolkit.remote.measure import measure_on_device
from toolkit.remote.their_edgekit import find_edgekit
from toolkit.remote.timing_options import TimingOptions


@pytest.fixture
def engine(tmp_path: Path) -> Path:
    path = tmp_path / "small.onnx"
    write_onnx(classifier(), path, contract())
    return build(path, target="cpu", out=tmp_path / "an engine.cpu.onnx").path


@pytest.fixture
def place(tmp_path: Path) -> Place:
    made = Place(tmp_path / "here", tmp_path / "tmp")
    for folder in (made.folder, made.temporary):
        folder.mkdir()
    return made


def measured(device: SshDevice, *engines: Path, **options: Any) -> tuple[Latency, ...]:
    wanted: dict[str, Any] = {"samples": 40, "threads": 1, "root": str(device.root), **options}
    return measure_on_device(engines, host=device.address, **wanted)


def refused(device: SshDevice, *engines: Path, **options: Any) -> EdgekitError:
    with pytest.raises(EdgekitError) as caught:
        measured(device, *engines, **options)
    return caught.value


def left_there(device: SshDevice) -> list[Path]:
    runs = device.home / ".cache" / "edgekit" / "runs"
    return list(runs.iterdir()) if runs.exists() else []


def started_there(device: SshDevice) -> bool:
    return bool(pids_there(device))


def pids_there(device: SshDevice) -> list[Path]:
    return [folder / "pid" for folder in left_there(device) if (folder / "pid").exists()]


def test_cpu_engines_and_models_are_measured_in_turns_by_the_edgekit_there(
    device: SshDevice, engine: Path, tmp_path: Path
) -> None:
    device.has_edgekit()
    runs = measured(device, engine, engine.with_name("small.onnx"), layers=True, batch=2)
    write_latency(tmp_path / "x.latency.json", runs)
    assert read_latency(tmp_path / "x.latency.json") == runs
    assert [run.engine for run in runs] == [str(engine), str(engine.with_name("small.onnx"))]
    assert {(len(run.samples_ms), run.threads, run.batch) for run in runs} == {(40, 1, 2)}
    assert ratio_between(*runs).rounds > 1
    for run in runs:
        assert run.layers and run.cold_start_ms > 0.0 and len(run.warmup_ms) == 50
        assert run.conditions["host"] == str(device.address)
        assert run.conditions["measured_with"] == "edgekit 0.1.0"
        assert (
            run.conditions["versions"]["onnxruntime"]
            == run.conditions["before"]["versions"]["onnxruntime"]
        )
        assert run.notes[0] == f"timed on {device.address} by its Edgekit 0.1.0"
        assert "preprocessing is not part of it" in run.notes[1]
    assert not left_there(device)


def test_a_connection_cut_meanwhile_leaves_one_measurement_that_went_on(
    device: SshDevice, engine: Path
) -> None:
    device.has_edgekit()
    cuts: list[int] = []

    def cut_once(progress: Progress) -> None:
        if progress.step == "measure" and not cuts:
            cuts.append(device.cut())

    (run,) = measured(
        device,
        engine,
        samples=1_000_000,
        seconds=3.0,
        progress=cut_once,
        pauses_s=(0.05,) * 5,
    )
    assert cuts and cuts[0] >= 1
    assert any(note.startswith("the connection was cut") for note in run.notes)
    assert not left_there(device)


def test_a_measurement_that_was_given_up_is_found_by_its_id(
    device: SshDevice, engine: Path
) -> None:
    device.has_edgekit()
    options: dict[str, Any] = {"samples": 1_000_000, "seconds": 3.0}
    gone = refused(device, engine, progress=vanishing(device), pauses_s=(0.05,), **options)
    assert "goes on and is found by the next command" in gone.message
    assert f"--port {device.port} --identity" in gone.next_command
    words, _, resume = gone.next_command.rpartition(" --resume ")
    assert words.endswith(" --threads 1 --samples 1000000 --seconds 3.0")
    device.start()
    (run,) = measured(device, engine, resume=resume, **options)
    assert was_found(run)
    assert not any("nothing of measurement" in note for note in run.notes)
    assert not left_there(device)


def test_an_id_with_another_question_finds_nothing(device: SshDevice, engine: Path) -> None:
    device.has_edgekit()
    long: dict[str, Any] = {"samples": 1_000_000, "seconds": 3.0}
    gone = refused(device, engine, progress=vanishing(device), pauses_s=(0.05,), **long)
    resume = gone.next_command.rpartition(" ")[2]
    device.start()
    (run,) = measured(device, engine, resume=resume, samples=30)
    assert not was_found(run)
    assert len(run.samples_ms) == 30
    assert (
        f"nothing of measurement {resume} was found on {device.address}: measured from the start"
    ) in run.notes


@pytest.mark.parametrize("resume", ["../../x", "0123456789ABCDEF", "0123"])
def test_an_id_that_is_none_is_refused(device: SshDevice, engine: Path, resume: str) -> None:
    error = refused(device, engine, resume=resume)
    assert isinstance(error, InputError)
    assert f"{resume!r} is no id of a measurement" in error.message
    assert "--resume" not in error.next_command


def test_the_command_after_a_lost_connection_is_the_whole_command(
    device: SshDevice, engine: Path, place: Place
) -> None:
    device.has_edgekit()
    record = place.folder / "my record.latency.json"
    with pytest.raises(RemoteError) as caught:
        measure_there(
            [engine],
            host=str(device.address),
            port=device.port,
            identity=device.key,
            out=record,
            as_json=True,
            samples=1_000_000,
            seconds=3.0,
            pauses_s=(0.05,),
            progress=vanishing(device),
        )
    device.start()
    command, *words = shlex.split(caught.value.next_command)
    said = place.run(*words)
    assert (command, said.code) == ("edgekit", 0), said
    (run,) = json.loads(said.out)["runs"]
    assert read_latency(record)[0].run == run["run"]
    assert any("found running" in note or "found finished" in note for note in run["notes"])


def test_two_equal_commands_at_once_measure_one_each_and_know_of_each_other(
    device: SshDevice, engine: Path, place: Place
) -> None:
    real = device.home / "real" / "edgekit"
    device.has_edgekit(real)
    wait = '[ "$1" != measure ] || while [ ! -f go ]; do sleep 0.1; done'  # in its own folder
    device.command("edgekit", f'{wait}\nexec "{real}" "$@"')
    where = ("--host", str(device.address), "--port", str(device.port), "--identity", device.key)
    words = ("measure", engine, *where, "--samples", "30", "--threads", "1")
    with started(place, *words, "--json") as first:
        assert eventually(lambda: started_there(device), 60.0)
        (outer,) = left_there(device)
        with started(place, *words, "--json") as second:
            assert eventually(lambda: len(pids_there(device)) == 2, 60.0)
            (inner,) = set(left_there(device)) - {outer}
            (inner / "go").touch()
            answers = [second.communicate(timeout=120)[0]]
        (outer / "go").touch()
        answers.append(first.communicate(timeout=120)[0])
    assert [first.returncode, second.returncode] == [0, 0], answers
    runs = [json.loads(answer)["runs"][0] for answer in answers]
    assert runs[0]["run"] != runs[1]["run"]
    assert not any("found" in note for run in runs for note in run["notes"])
    for run in runs:  # the first, too: the second began and ended while it ran
        assert any("another measurement ran on" in why for why in run["unstable"])
    assert not left_there(device)
    assert len(list((device.home / ".cache" / "edgekit" / "engines").iterdir())) == 1


def test_an_edgekit_that_refuses_is_quoted_and_its_advice_runs_over_there(
    device: SshDevice, engine: Path
) -> None:
    device.has_edgekit()
    manifest = manifest_path(engine)
    values = json.loads(manifest.read_text())
    manifest.write_text(json.dumps({**values, "built_with": "onnxruntime 0.0.1"}))
    error = refused(device, engine)
    assert isinstance(error, RemoteError)
    assert error.message.startswith(
        f"Edgekit 0.1.0 on {device.address}: {engine.name} was built with onnxruntime 0.0.1"
    )
    assert error.next_command.startswith(f"{device.address.ssh} '{device.folder}/bin/edgekit build")
    assert not left_there(device)


@pytest.mark.parametrize(
    ("script", "says"),
    [
        ("kill -9 $$", "it was killed: out of memory"),
        ("echo Segmentation fault >&2; exit 139", r"exit code 139 \(Segmentation fault\)"),
        ("echo '{}'; exit 1", r"exit code 1 \(it gave no reason\)"),
    ],
)
def test_an_edgekit_that_dies_is_one_sentence(
    device: SshDevice, engine: Path, script: str, says: str
) -> None:
    device.command("edgekit", f'[ "$1" = --version ] && echo edgekit 0.1.0 && exit\n{script}')
    with pytest.raises(RemoteError, match=says):
        measured(device, engine)
    assert not left_there(device)


@pytest.mark.parametrize("record", ["", '{"kind": "edgekit latency", "version": 99}'])
def test_a_record_that_is_missing_or_newer_is_refused(
    device: SshDevice, engine: Path, record: str
) -> None:
    keep = f"echo '{record}' > record.latency.json" if record else ":"
    device.command("edgekit", f'[ "$1" = --version ] && echo edgekit 0.1.0 && exit\n{keep}')
    error = refused(device, engine)
    assert isinstance(error, RemoteError)
    assert ("newer Edgekit" if record else "record.latency.json") in error.message
    assert "/edgekit-" not in error.message  # our own temporary folder tells nobody anything


@pytest.mark.parametrize("where", [".local/bin/edgekit", "edgekit/bin/edgekit"])
def test_an_edgekit_beside_the_path_is_found(device: SshDevice, where: str) -> None:
    device.has_edgekit(device.home / where)
    with open_connection(device.address) as connection:
        found = find_edgekit(connection)
    assert (found.command, found.version) == (str(device.home / where), "0.1.0")


@pytest.mark.parametrize("given", ["some where/bin/edgekit", "some where", "~/some where"])
def test_an_edgekit_that_is_named_is_the_one_that_is_used(device: SshDevice, given: str) -> None:
    device.command("edgekit", "exit 1")
    device.has_edgekit(device.home / "some where" / "bin" / "edgekit")
    with open_connection(device.address) as connection:
        found = find_edgekit(connection, given=given)
    assert found.command == str(device.home / "some where" / "bin" / "edgekit")
    assert not found.why_not


def test_trtexec_times_in_place_of_a_foreign_edgekit_and_says_why(
    device: SshDevice, model: Path
) -> None:
    device.command("edgekit", "echo edgekit 9.9.0")
    (run,) = measured(device, for_tensorrt(device, model).path, samples=16)
    assert run.conditions["measured_with"] == "trtexec 10.3.0"
    assert run.conditions["host"] == str(device.address)
    assert run.notes[0] == (
        f"timed with trtexec: {device.address} has Edgekit 9.9.0, where this one takes 0.1.x"
    )


def test_options_that_trtexec_has_not_are_told_where_they_were_given(
    device: SshDevice, model: Path
) -> None:
    built = for_tensorrt(device, model).path
    (plain,) = measured(device, built, samples=2, threads=0, edgekit="none")
    assert not any("did not read" in note for note in plain.notes)
    (run,) = measured(device, built, samples=2, threads=2, warmup=100, edgekit="none")
    assert run.notes[1] == (
        "trtexec did not read --threads 2 and --warmup 100: it warms up for 200 ms, and a GPU "
        "engine has no CPU threads"
    )
    (one,) = measured(device, built, samples=2, threads=0, warmup=100, edgekit="none")
    assert one.notes[1].startswith("trtexec did not read --warmup 100: ")


@pytest.mark.parametrize(
    ("answer", "says"),
    [
        ("echo edgekit 0.2.0", "has Edgekit 0.2.0, where this one takes 0.1.x"),
        ("echo Traceback >&2; exit 1", "answers 'Traceback' instead of its version"),
        (None, "has no Edgekit"),
    ],
)
def test_a_cpu_engine_without_a_fitting_edgekit_is_refused_with_what_to_install(
    device: SshDevice, engine: Path, answer: str | None, says: str
) -> None:
    if answer is not None:
        device.command("edgekit", answer)
    error = refused(device, engine)
    assert isinstance(error, InputError)
    assert "which trtexec does not run" in error.message and says in error.message
    assert error.next_command == (
        f"{device.address.ssh} 'python3 -m venv edgekit && "
        'edgekit/bin/pip install "edgekit~=0.1.0"\''
    )


def test_trtexec_only_times_where_nothing_else_was_asked_for(
    device: SshDevice, model: Path, engine: Path
) -> None:
    device.has_edgekit()
    built = for_tensorrt(device, model).path
    (run,) = measured(device, built, samples=16, edgekit="none")
    assert run.notes[0] == "timed with trtexec: --edgekit none was asked for"
    assert "which trtexec does not run" in refused(device, engine, edgekit="none").message
    energy = refused(device, built, edgekit="none", energy=True)
    assert "trtexec reads no energy sensors" in energy.message
    named = refused(device, built, edgekit="~/nowhere")
    assert f"{device.address} has no Edgekit at ~/nowhere" in named.message
    assert "edgekit[tensorrt]~=0.1.0" in named.next_command
    for name in ("edgekit", "trtexec"):
        (device.folder / "bin" / name).unlink()
    neither = refused(device, built)
    assert f"{device.address} has no Edgekit, and no trtexec either" in neither.message
    assert "apt-get install nvidia-jetpack" in neither.next_command


def test_ctrl_c_ends_a_timing_with_trtexec(device: SshDevice, model: Path, place: Place) -> None:
    built = for_tensorrt(device, model).path
    device.command("trtexec", f'[ "$1" = --help ] && exec cat {device.folder}/help\nexec sleep 300')

    timers: list[bool] = []

    def stop(progress: Progress) -> None:
        if progress.step == "push" and not timers:
            timers.append(True)
            threading.Timer(1.5, os.kill, (os.getpid(), signal.SIGINT)).start()

    with pytest.raises(KeyboardInterrupt):
        measured(device, built, progress=stop)
    assert eventually(lambda: not device.running("sleep"))
    assert not left_there(device)


def test_ctrl_c_on_the_command_line_ends_the_measurement_there(
    device: SshDevice, engine: Path, place: Place
) -> None:
    device.has_edgekit()
    where = ("--host", str(device.address), "--port", str(device.port), "--identity", device.key)
    long = ("--samples", "100000000", "--seconds", "600")
    with started(place, "measure", engine, *where, *long, "--json") as process:
        assert eventually(lambda: started_there(device), 60.0)
        time.sleep(1.0)
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=30)
    assert process.returncode == 1, err
    assert json.loads(out)["error"].startswith("Interrupted"), out
    assert eventually(lambda: not device.running("record.latency.json"))
    assert not left_there(device)


def test_the_command_line_measures_a_cpu_engine_over_ssh(
    device: SshDevice, engine: Path, place: Place
) -> None:
    device.has_edgekit()
    where = ("--host", str(device.address), "--port", str(device.port), "--identity", device.key)
    said = place.run(
        *("measure", engine, *where, "--samples", "20", "--threads", "1"),
        *("--energy", "--out", "x.latency.json", "--json"),
    )
    assert said.code == 0, said
    (run,) = json.loads(said.out)["runs"]
    assert (run["engine"], run["samples"], run["threads"]) == (str(engine), 20, 1)
    assert run["conditions"]["measured_with"] == "edgekit 0.1.0"
    assert "energy" in run or "energy" in run["conditions"]
    assert read_latency(place.folder / "x.latency.json")[0].engine == str(engine)
    for option, what in {"--edgekit": "something", "--resume": "the id of a measurement"}.items():
        plain = is_refusal(place.run("measure", engine, option, "x"))
        assert f"{option} x is {what} on another machine: it goes with --host" in plain[0]
    place.refuses("measure", engine, *where, "--edgekit", "no", says="has no Edgekit at no")


def test_options_are_told_in_full_there_and_in_short_here() -> None:
    options = TimingOptions(threads=2, layers=True)
    assert options.words(changed_only=True) == ("--threads", "2", "--layers")
    assert options.words(only=("threads", "warmup")) == ("--threads", "2", "--warmup", "50")
    assert "--seconds 60.0 --warmup 50 --batch 0 --seed 0 --layers" in " ".join(options.words())


def vanishing(device: SshDevice) -> Callable[[Progress], None]:
    """A listener that takes the device away as soon as it measures."""

    def vanish(progress: Progress) -> None:
        if progress.step == "measure":
            device.stop()

    return vanish


def was_found(run: Latency) -> bool:
    return any("found running there" in n or "found finished there" in n for n in run.notes)


def started(place: Place, *arguments: object) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [str(word) for word in (*EDGEKIT, *arguments)],
        cwd=place.folder,
        env=place.environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def eventually(holds: Callable[[], bool], seconds: float = 10.0) -> bool:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if holds():  # once is enough: it may be over before it is asked again
            return True
        threading.Event().wait(0.05)
    return holds()
