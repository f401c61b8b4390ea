from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.bad_input.command import Place
from tests.doubles.ssh_device import SshDevice
from toolkit.artifacts import Engine, manifest_path
from toolkit.errors import EdgekitError
from toolkit.latency import Latency, ratio_between, read_latency, write_latency
from toolkit.progress import Progress
from toolkit.remote.build import build_on_device
from toolkit.remote.measure import measure_on_device

TEGRASTATS = (
    "11-24-2026 12:00:00 RAM 2390/7620MB (lfb 4x4MB) SWAP 0/3810MB (cached 0MB) CPU "
    "[5%@1510,3%@1510,off,off,off,off] EMC_FREQ 1%@2133 GR3D_FREQ 61%@[624] cpu@50.1C "
    "gpu@51.2C VDD_IN 5079mW/4900mW VDD_CPU_GPU_CV 1100mW/1000mW"
)


def built(device: SshDevice, model: Path, name: str) -> Engine:
    return build_on_device(
        model,
        target="jetson-orin-nano-8gb",
        host=device.address,
        out=model.with_name(name),
        batch="4",
        root=str(device.root),
    )


def measured(device: SshDevice, *engines: Path, **options: Any) -> tuple[Latency, ...]:
    return measure_on_device(
        engines, host=device.address, samples=32, root=str(device.root), **options
    )


def test_engines_take_turns_on_the_device_and_make_the_usual_record(
    device: SshDevice, model: Path, tmp_path: Path
) -> None:
    device.command("tegrastats", f"while :; do echo '{TEGRASTATS}'; sleep 0.1; done")
    a = built(device, model, "a.engine").path
    b = a.with_name("b.engine")
    for old, new in ((a, b), (manifest_path(a), manifest_path(b))):
        new.write_bytes(old.read_bytes())
    runs = measured(device, a, b)
    write_latency(tmp_path / "x.latency.json", runs)
    assert read_latency(tmp_path / "x.latency.json") == runs
    assert [run.engine for run in runs] == [str(a), str(b)]
    assert {(len(run.samples_ms), run.block, run.batch) for run in runs} == {(32, 4, 4)}
    assert ratio_between(*runs).value == pytest.approx(1.0, abs=0.1)
    conditions = runs[0].conditions
    assert conditions["measured_with"] == "trtexec 10.3.0"
    assert "preprocessing is not part" in conditions["covers"]
    assert conditions["tegrastats"]["hottest_c"] == 51.2
    assert conditions["tegrastats"]["power_mw"] == {"VDD_CPU_GPU_CV": 1100, "VDD_IN": 5079}
    assert conditions["slowest_layers"][0]["name"] == "conv2"
    assert conditions["jetpack"] == conditions["before"]["jetpack"] == "6.2"
    assert not list((device.home / ".cache" / "edgekit" / "runs").iterdir())
    assert not device.running("tegrastats")


def test_a_cut_in_the_middle_repeats_the_turn(device: SshDevice, model: Path) -> None:
    engine = built(device, model, "a.engine").path
    cuts: list[int] = []

    def cut_once(progress: Progress) -> None:
        if progress.step == "measure" and not cuts:
            cuts.append(device.cut())

    (run,) = measured(device, engine, progress=cut_once, pauses_s=(0.05,) * 5)
    assert cuts and len(run.samples_ms) == 32


def test_an_engine_that_trtexec_cannot_load_is_explained(device: SshDevice, model: Path) -> None:
    engine = built(device, model, "a.engine").path
    device.command("trtexec", f'[ "$1" = --help ] && cat {device.folder}/help && exit; false')
    with pytest.raises(EdgekitError, match="cannot run"):
        measured(device, engine)


def test_the_command_line_measures_and_refuses_over_ssh(
    device: SshDevice, model: Path, tmp_path: Path
) -> None:
    (device.root / "proc" / "device-tree" / "compatible").unlink()
    device.has_gpu("NVIDIA GeForce RTX 3090", "8.6")
    place = Place(tmp_path / "here", tmp_path / "tmp")
    for folder in (place.folder, place.temporary):
        folder.mkdir()
    where = ("--host", str(device.address), "--port", str(device.port), "--identity", device.key)
    made = place.run(
        "build",
        model,
        "--target",
        "rtx-3090",
        *where,
        "--batch",
        "4",
        "--out",
        "x.engine",
        "--json",
    )
    assert made.code == 0, made
    assert json.loads(made.out)["backend"] == "tensorrt"
    record = ("--samples", "16", "--out", "x.latency.json", "--json")
    said = place.run("measure", "x.engine", *where, *record)
    assert said.code == 0, said
    (run,) = json.loads(said.out)["runs"]
    assert run["samples"] == 16 and run["p50_ms"] > 1.0
    assert read_latency(place.folder / "x.latency.json")[0].engine == "x.engine"
    device.known_hosts.unlink()
    place.refuses("measure", "x.engine", *where, says="is not known")
    place.refuses("build", model, "--target", "rtx-3090", "--host", "a b", says="not USER@HOST")
    place.refuses(
        "build", model, "--target", "rtx-3090", *where, "--jetpack", "6", says="--jetpack"
    )


def test_the_command_line_writes_a_bundle(model: Path, tmp_path: Path) -> None:
    place = Place(tmp_path / "here", tmp_path / "tmp")
    for folder in (place.folder, place.temporary):
        folder.mkdir()
    orin = ("build", model, "--target", "jetson-orin-nano-8gb")
    said = place.run(*orin, "--bundle", "b.tar.gz", "--jetpack", "6.2", "--json")
    assert said.code == 0, said
    assert json.loads(said.out)["tensorrt"] == "10.3.0"
    place.refuses(*orin, "--bundle", "c.tar.gz", "--guard", "x", says="--guard does not go with")
    place.refuses(*orin, "--jetpack", "6.2", says="goes with --bundle")
