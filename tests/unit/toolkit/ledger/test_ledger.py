from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from tests.unit.toolkit.ledger.trtexec_runs import log_of, times_of
from tests.unit.toolkit.report.run_examples import latency_of
from toolkit.errors import InputError, MachineError
from toolkit.latency import write_latency
from toolkit.ledger import Entry, add, diff, read_ledger
from toolkit.ledger.file import append_entries


def write(path: Path, text: str) -> Path:
    path.write_text(text)
    return path


def written_latency(folder: Path, *, run: str = "r1", names: tuple[str, ...] = ("a.onnx",)) -> Path:
    """A latency record of small engine files; each next one takes twice as long."""
    runs = []
    for k, name in enumerate(names):
        engine = folder / name
        engine.write_bytes(name.encode())
        runs.append(latency_of(engine, middle_ms=10.0 * 2**k, run=run))
    path = folder / f"{run}.latency.json"
    write_latency(path, runs)
    return path


def test_a_latency_record_is_added_once(tmp_path: Path) -> None:
    record, ledger = written_latency(tmp_path), tmp_path / "new" / "ledger.jsonl"
    (entry,) = add(ledger, [record])
    assert add(ledger, [record]) == ()
    assert read_ledger(ledger) == (entry,)
    assert (entry.engine, entry.settings.runtime, entry.settings.batch) == (
        "a.onnx",
        "onnxruntime",
        1,
    )
    assert len(entry.samples_ms) == 1000


def test_engines_that_took_turns_are_compared_with_an_interval(tmp_path: Path) -> None:
    ledger = tmp_path / "l.jsonl"
    a, b = add(ledger, [written_latency(tmp_path, names=("a.onnx", "b.onnx"))])
    found = diff(ledger, a.id, b.id[:6], allow_unlike=True)  # the device of the examples is unknown
    assert found.paired
    assert found.ratio == pytest.approx(2.0)
    assert 2.0 in found.interval or found.interval.width < 1e-9


@pytest.mark.parametrize("version", ["8.5.2", "10.3.0", "11.1.0"])
def test_a_log_of_trtexec_brings_its_flags(tmp_path: Path, version: str) -> None:
    log = write(
        tmp_path / "run.log", log_of(version, graph=True, spin=True, transfers=False, streams=2)
    )
    (entry,) = add(tmp_path / "l.jsonl", [log])
    settings = entry.settings
    assert (settings.cuda_graph, settings.spin_wait, settings.transfers) == (True, True, False)
    assert (settings.streams, settings.covers) == (2, "GPU compute")
    assert (entry.version, settings.device) == (version, "Orin")
    assert (entry.p50_ms, entry.p99_ms, entry.engine) == (2.0, 2.9, "net.int8.engine")
    assert entry.samples_ms == ()


@pytest.mark.parametrize(("version", "counted"), [("8.5.2", 80), ("10.3.0", 100)])
def test_times_of_trtexec_need_the_log_and_lose_the_warm_up(
    tmp_path: Path, version: str, counted: int
) -> None:
    times = write(tmp_path / "times.json", times_of(version=version))
    with pytest.raises(InputError, match="do not say how they were taken") as said:
        add(tmp_path / "l.jsonl", [times])
    assert "--log" in said.value.next_command
    log = write(tmp_path / "run.log", log_of(version))
    (entry,) = add(tmp_path / "l.jsonl", [times], log=log)
    assert len(entry.samples_ms) == counted
    assert entry.p50_ms == pytest.approx(2.02)


def test_unlike_runs_are_refused_and_what_differs_is_said(tmp_path: Path) -> None:
    ledger = tmp_path / "l.jsonl"
    old = write(tmp_path / "10.log", log_of("10.3.0"))
    new = write(
        tmp_path / "11.log", log_of("11.1.0", graph=True, spin=True, transfers=False, median=1.5)
    )
    a, b = add(ledger, [old, new])
    with pytest.raises(InputError) as said:
        diff(ledger, a.id, b.id)
    for what in ("cuda graph off and on", "spin wait off and on", "transfers on and off"):
        assert what in said.value.message
    assert said.value.next_command.endswith("--allow-unlike")
    found = diff(ledger, a.id, b.id, allow_unlike=True)
    assert found.ratio == pytest.approx(0.75)
    assert "UNLIKE RUNS" in found.line()
    json.dumps(found.to_dict(), allow_nan=False)


def test_two_versions_with_equal_flags_are_alike(tmp_path: Path) -> None:
    logs = [
        write(tmp_path / f"{version}.log", log_of(version, graph=True, spin=True))
        for version in ("10.3.0", "11.1.0")
    ]
    a, b = add(tmp_path / "l.jsonl", logs)
    assert diff(tmp_path / "l.jsonl", a.id, b.id).unlike == ()


def test_runs_on_two_devices_or_on_unknown_ones_are_unlike(tmp_path: Path) -> None:
    ledger = tmp_path / "l.jsonl"
    one, other = (
        write(tmp_path / f"{d}.log", log_of(device=d)) for d in ("Orin", "NVIDIA RTX 4090")
    )
    a, b = add(ledger, [one, other])
    with pytest.raises(InputError, match="device Orin and NVIDIA RTX 4090"):
        diff(ledger, a.id, b.id)
    c, d = (
        replace(each, engine=name, settings=replace(a.settings, device="unknown"))
        for each, name in ((a, "c"), (a, "d"))
    )
    append_entries(ledger, [c, d])
    with pytest.raises(InputError, match="device unknown and unknown"):
        diff(ledger, c.id, d.id)


@pytest.mark.parametrize("cut", [0.2, 0.5, 0.9])
def test_a_log_that_was_cut_mid_line_is_refused(tmp_path: Path, cut: float) -> None:
    text = log_of()
    log = write(tmp_path / "run.log", text[: int(cut * len(text))])
    with pytest.raises(InputError, match="cut off before it ended"):
        add(tmp_path / "l.jsonl", [log])
    assert not (tmp_path / "l.jsonl").exists()


def test_failed_runs_cut_times_and_foreign_files_are_refused(tmp_path: Path) -> None:
    ledger, log = tmp_path / "l.jsonl", write(tmp_path / "ok.log", log_of())
    failed = write(tmp_path / "f.log", log_of().replace("PASSED", "FAILED"))
    with pytest.raises(InputError, match="failed"):
        add(ledger, [failed])
    with pytest.raises(InputError, match="cannot be read"):
        add(ledger, [write(tmp_path / "t.json", times_of()[:-40])], log=log)
    with pytest.raises(InputError, match="no query after the warm-up"):
        add(ledger, [write(tmp_path / "w.json", times_of(3, version="8.5.2"))], log=log)
    with pytest.raises(InputError, match="no latency record"):
        add(ledger, [write(tmp_path / "x.txt", "hello")])
    with pytest.raises(InputError, match="cannot be read"):
        add(ledger, [tmp_path / "missing.log"])


def lines_of(tmp_path: Path) -> tuple[Path, list[str]]:
    ledger = tmp_path / "l.jsonl"
    logs = [write(tmp_path / f"{m}.log", log_of(median=m)) for m in (1.0, 2.0, 3.0)]
    add(ledger, logs)
    return ledger, ledger.read_text().splitlines(keepends=True)


@pytest.mark.parametrize(
    ("edit", "says"),
    [
        (lambda lines: [*lines[:2], lines[2][:90]], r"Line 3 .* cut off"),
        (lambda lines: [*lines[:2], lines[2].rstrip("\n")], r"Line 3 .* no end"),
        (lambda lines: [lines[0].replace('"p50_ms": 1.0', '"p50_ms": 0.5')], r"Line 1 .* the id"),
        (lambda lines: [lines[0].replace('"p50_ms": 1.0', '"p50_ms": -1.0')], "not positive"),
        (lambda lines: [lines[0].replace('"streams": 1', '"streams": "1"')], "streams is '1'"),
        (lambda lines: [lines[0].replace('"version": 1', '"version": 2')], "newer Edgekit"),
        (lambda lines: [*lines, lines[1]], r"Lines 2 and 4 .* same id"),
        (lambda lines: ["[]\n"], "no entry of a ledger"),
        (lambda lines: ['{"kind": "edgekit ledger", "version": 1}\n'], "KeyError"),
    ],
)
def test_a_damaged_ledger_is_refused_and_left_as_it_is(
    tmp_path: Path, edit: Callable[[list[str]], list[str]], says: str
) -> None:
    ledger, lines = lines_of(tmp_path)
    damaged = "".join(edit(lines))
    ledger.write_text(damaged)
    with pytest.raises(InputError, match=says) as said:
        read_ledger(ledger)
    assert said.value.next_command
    with pytest.raises(InputError, match=says):
        add(ledger, [write(tmp_path / "new.log", log_of(median=9.0))])
    assert ledger.read_text() == damaged


def test_an_unclear_or_unknown_id_is_refused(tmp_path: Path) -> None:
    ledger, _ = lines_of(tmp_path)
    for name in ("", "zz"):
        with pytest.raises(InputError, match="id that starts with"):
            diff(ledger, name, name)
    with pytest.raises(InputError, match="cannot be read"):
        read_ledger(tmp_path / "none.jsonl")


def test_a_ledger_that_cannot_be_written_is_said(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(MachineError, match="cannot be written"):
        append_entries(tmp_path / "file" / "l.jsonl", [])


def test_a_write_that_fails_half_way_leaves_the_ledger_as_it_was(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ledger, lines = lines_of(tmp_path)
    entry = replace(read_ledger(ledger)[0], p50_ms=7.0)
    real = os.write

    def half(handle: int, content: bytes) -> int:
        if len(content) < 200:
            raise OSError(28, "No space left on device")
        return real(handle, content[: len(content) // 2])

    monkeypatch.setattr("toolkit.ledger.file.os.write", half)
    with pytest.raises(MachineError, match="No space left"):
        append_entries(ledger, [entry])
    assert ledger.read_text() == "".join(lines)


def test_writers_at_the_same_time_lose_no_run(tmp_path: Path) -> None:
    code = (
        "import sys\nfrom dataclasses import replace\nfrom pathlib import Path\n"
        "from toolkit.ledger.file import append_entries, read_ledger\n"
        "entry = read_ledger(Path(sys.argv[1]))[0]\n"
        "for k in range(20):\n"
        "    made = replace(entry, engine=f'{sys.argv[3]}-{k}')\n"
        "    append_entries(Path(sys.argv[2]), [made])\n"
    )
    seed, ledger = tmp_path / "seed.jsonl", tmp_path / "l.jsonl"
    add(seed, [write(tmp_path / "a.log", log_of())])
    root = Path(__file__).parents[4]
    writers = [
        subprocess.Popen([sys.executable, "-c", code, seed, ledger, str(k)], cwd=root)
        for k in range(3)
    ]
    assert [writer.wait(60) for writer in writers] == [0, 0, 0]
    entries: tuple[Entry, ...] = read_ledger(ledger)
    assert {entry.engine for entry in entries} == {f"{w}-{k}" for w in range(3) for k in range(20)}
