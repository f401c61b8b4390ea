from __future__ import annotations

import json
import os
import threading
import time
from pathlib import Path

import pytest

from toolkit.errors import InputError, MachineError
from toolkit.results import Result, open_results, result_line
from toolkit.results.file import Descriptor
from toolkit.results.line_writer import LineWriter
from toolkit.top_k import Guess


def result(index: int = 0) -> Result:
    return Result(
        index=index,
        captured_at_s=100.25,
        timestamp_origin="driver",
        frame_age_ms=12.5,
        capture_to_result_ms=20.0,
        top=(Guess(1, "bee", "n2", 0.75), Guess(0, "ant", "n1", 0.25)),
    )


def test_a_line_holds_the_time_the_age_and_the_guesses() -> None:
    line = result_line(result(3), wall_s=1_700_000_000.5)
    assert line.endswith("\n")
    assert json.loads(line) == {
        "index": 3,
        "time": 1_700_000_000.48,
        "captured_at_s": 100.25,
        "timestamp_origin": "driver",
        "frame_age_ms": 12.5,
        "capture_to_result_ms": 20.0,
        "uncertain": False,
        "smoothed_over": 1,
        "smoothed_span_ms": 0.0,
        "top": [
            {"index": 1, "label": "bee", "id": "n2", "confidence": 0.75},
            {"index": 0, "label": "ant", "id": "n1", "confidence": 0.25},
        ],
    }


def test_a_path_gets_one_line_a_result(tmp_path: Path) -> None:
    path = tmp_path / "new folder" / "results.jsonl"
    with open_results(str(path)) as sink:
        for i in range(100):
            sink.put(result(i))
    lines = path.read_text().splitlines()
    assert [json.loads(line)["index"] for line in lines] == list(range(100))
    assert sink.lost == 0


def test_lines_can_be_followed_while_the_loop_runs(tmp_path: Path) -> None:
    path = tmp_path / "results.jsonl"
    with open_results(str(path)) as sink:
        sink.put(result())
        deadline = time.monotonic() + 5.0
        while not path.read_text() and time.monotonic() < deadline:
            time.sleep(0.01)
        assert path.read_text().count("\n") == 1


def test_a_dash_is_standard_output(capfd: pytest.CaptureFixture[str]) -> None:
    with open_results("-") as sink:
        sink.put(result(7))
    assert json.loads(capfd.readouterr().out)["index"] == 7


def test_a_reader_that_is_too_slow_costs_lines_and_not_time() -> None:
    reading, writing = os.pipe()
    writer = LineWriter(Descriptor(writing, "a pipe"), capacity=4)
    began = time.monotonic()
    for i in range(2000):
        writer.put(result(i))  # nobody reads: the pipe fills up after some hundred lines
    assert time.monotonic() - began < 2.0
    assert writer.lost > 500
    os.set_blocking(reading, False)
    thread = threading.Thread(target=writer.close)
    thread.start()
    written = b""
    while thread.is_alive():
        try:
            written += os.read(reading, 1 << 16)
        except BlockingIOError:
            time.sleep(0.005)
    while rest := os.read(reading, 1 << 16):  # the writer closed its end
        written += rest
    os.close(reading)
    lines = [json.loads(line) for line in written.splitlines()]
    assert len(lines) == 2000 - writer.lost  # whole lines, and every one accounted for


def test_a_reader_that_never_reads_does_not_hold_up_the_end(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("toolkit.results.line_writer._CLOSE_S", 0.05)
    reading, writing = os.pipe()
    writer = LineWriter(Descriptor(writing, "a pipe"), capacity=2)
    for i in range(1000):
        writer.put(result(i))
    began = time.monotonic()
    writer.close()
    assert time.monotonic() - began < 2.0
    os.close(reading)  # the thread that hung gets its error and ends


def test_a_reader_that_went_away_is_an_error_at_the_next_result() -> None:
    reading, writing = os.pipe()
    os.close(reading)
    writer = LineWriter(Descriptor(writing, "standard output"))
    with pytest.raises(MachineError, match="read the results from standard output went away"):
        for _ in range(1000):
            writer.put(result())
            time.sleep(0.001)
    writer.close()


def test_a_full_disk_is_an_error_at_the_next_result() -> None:
    with pytest.raises(MachineError, match="No space left"), open_results("/dev/full") as sink:
        for _ in range(1000):
            sink.put(result())
            time.sleep(0.001)


def test_a_folder_that_cannot_be_written_is_an_error() -> None:
    with pytest.raises(MachineError, match="Results cannot be written"):
        open_results("/proc/results.jsonl").__enter__()


@pytest.mark.parametrize("where", ["mqt://host/topic", "http://host/topic"])
def test_an_unknown_scheme_is_refused(where: str) -> None:
    with pytest.raises(InputError, match="unknown scheme"):
        open_results(where).__enter__()


def test_the_password_of_a_mistyped_url_is_not_repeated() -> None:
    with pytest.raises(InputError) as caught:
        open_results("mqt://ann:hunter2@host/topic").__enter__()
    assert "hunter2" not in caught.value.message
    assert "did you mean 'mqtt'" in caught.value.message
