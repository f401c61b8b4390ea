from __future__ import annotations

import gzip
import json
import os
import threading
from pathlib import Path

import pytest

from toolkit.errors import InputError
from toolkit.explain.log_report import explain_log

FAILED = (
    "[E] [TRT] 6: The engine plan file is generated on an incompatible device, "
    "expecting compute 8.6 got compute 7.5, please rebuild."
)
KNOWN = "engine-of-another-gpu"


def rules(path: Path) -> list[str]:
    return [each.rule for each in explain_log(path).found]


def test_a_known_failure_is_told_with_its_line(tmp_path: Path) -> None:
    log = tmp_path / "build.log"
    log.write_text(f"one\ntwo\n{FAILED}\n")
    report = explain_log(log)
    assert report.explained
    assert report.lines == (3,)
    assert report.summary().startswith(f"{log}: The engine was built for compute capability 7.5")
    assert report.try_next == ()
    assert any("line 3" in each for each in report.details())
    values = json.loads(json.dumps(report.to_dict()))
    assert values["explained"] is True
    assert values["causes"][0]["rule"] == KNOWN
    assert values["causes"][0]["fix"].startswith("edgekit build ")


def test_an_unknown_failure_is_admitted_with_what_to_try(tmp_path: Path) -> None:
    log = tmp_path / "build.log"
    log.write_text("[E] something nobody has seen before\n")
    report = explain_log(log)
    assert not report.explained
    assert "nothing that Edgekit knows" in report.summary()
    assert any("dmesg" in each for each in report.details())
    assert report.to_dict()["causes"] == []


def test_warnings_alone_do_not_explain_why_a_run_ended(tmp_path: Path) -> None:
    log = tmp_path / "build.log"
    log.write_text("Tactic Device request: 950MB Available: 690MB. Device memory is insufficient\n")
    report = explain_log(log)
    assert not report.explained
    assert "nothing but warnings" in report.summary()
    assert report.try_next


def test_colours_line_ends_and_progress_bars_do_not_hide_a_line(tmp_path: Path) -> None:
    log = tmp_path / "build.log"
    log.write_bytes(
        b"\x1b[32m[I] ok\x1b[0m\r\nbuilding 10%\rbuilding 99%\r\x1b]0;title\x07"
        b"\x1b[1;31mKilled\x1b[0m\r\n[E] expecting \x1b[1mno\x1b[0m\r\n"
    )
    report = explain_log(log)
    assert [each.rule for each in report.found] == ["killed"]
    assert report.lines == (2,)


@pytest.mark.parametrize("encoding", ["utf-16", "utf-8-sig", "latin-1"])
def test_other_encodings_are_read(tmp_path: Path, encoding: str) -> None:
    log = tmp_path / "build.log"
    log.write_bytes(f"größer\r\n{FAILED}\r\n".encode(encoding))
    assert rules(log) == [KNOWN]


def test_zeros_of_a_power_cut_are_skipped(tmp_path: Path) -> None:
    log = tmp_path / "kern.log"
    log.write_bytes(b"boot\n" + bytes(4096) + f"\n{FAILED}\n".encode())
    assert rules(log) == [KNOWN]


@pytest.mark.parametrize("at_end", [False, True])
def test_of_a_huge_log_beginning_and_end_are_read(tmp_path: Path, at_end: bool) -> None:
    log = tmp_path / "huge.log"
    with log.open("wb") as file:
        file.write(b"start\n" if at_end else f"{FAILED}\n".encode())
        file.seek(3 << 30)  # sparse: takes no room
        file.write(f"\n{FAILED}\n".encode() if at_end else b"\nend\n")
    report = explain_log(log)
    assert [each.rule for each in report.found] == [KNOWN]
    assert report.lines == ((None,) if at_end else (1,))
    assert report.skipped_bytes > 2 << 30
    assert "were not read" in report.details()[-1]


def test_a_pipe_is_read_to_its_end(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)

    def write() -> None:
        with pipe.open("wb") as file:
            for _ in range(300):
                file.write(b"[V] tactic 0x0 took 1 ms\n" * 4000)
            file.write(f"{FAILED}\n".encode())

    writer = threading.Thread(target=write)
    writer.start()
    report = explain_log(pipe)
    writer.join()
    assert [each.rule for each in report.found] == [KNOWN]
    assert report.skipped_bytes > 0


@pytest.mark.parametrize("content", [b"", b"\n\n", bytes(100)])
def test_an_empty_log_is_refused(tmp_path: Path, content: bytes) -> None:
    log = tmp_path / "empty.log"
    log.write_bytes(content)
    with pytest.raises(InputError, match="is empty"):
        explain_log(log)


def test_binary_files_are_refused_with_what_reads_them(tmp_path: Path) -> None:
    engine = tmp_path / "m.engine"
    engine.write_bytes(bytes(range(256)) * 64)
    with pytest.raises(InputError, match="no text log") as caught:
        explain_log(engine)
    assert caught.value.next_command == f"edgekit inspect {engine}"
    packed = tmp_path / "build.log.gz"
    packed.write_bytes(gzip.compress(FAILED.encode() * 100))
    with pytest.raises(InputError, match="no text log") as caught:
        explain_log(packed)
    assert caught.value.next_command == f"zcat {packed} | edgekit doctor --log -"


def test_a_missing_log_and_a_folder_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="cannot be read: No such file"):
        explain_log(tmp_path / "missing.log")
    with pytest.raises(InputError, match="cannot be read: Is a directory"):
        explain_log(tmp_path)


def test_a_line_without_end_is_cut(tmp_path: Path) -> None:
    log = tmp_path / "build.log"
    log.write_text("VIDIOC_" * 400_000 + f"\n{FAILED}\n")
    report = explain_log(log)
    assert [each.rule for each in report.found] == [KNOWN]
