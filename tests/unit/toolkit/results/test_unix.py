from __future__ import annotations

import json
import socket
import time
from pathlib import Path

import pytest

from tests.unit.toolkit.results.line_readers import listening
from tests.unit.toolkit.results.test_results import result
from toolkit.errors import InputError, MachineError
from toolkit.results import open_results
from toolkit.results.line_writer import LineWriter
from toolkit.results.unix import UnixSocket


def indices(text: str) -> list[int]:
    return [json.loads(line)["index"] for line in text.splitlines()]


def test_a_reader_that_comes_back_gets_the_lines_that_waited(tmp_path: Path) -> None:
    path = tmp_path / "s"
    with listening(path) as first, open_results(f"unix:{path}") as sink:
        sink.put(result(0))
        assert indices(first.text(lines=1)) == [0]
        first.close()
        for i in range(1, 30):
            sink.put(result(i))
        with listening(path) as second:
            found = indices(second.text(lines=29))
            path.touch()
        path.touch()  # for the first listener's end
    assert found == list(range(1, 30))
    assert sink.lost == 0


def test_a_reader_that_sleeps_costs_lines_and_not_time(tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as sleeper:
        sleeper.bind(str(tmp_path / "s"))
        sleeper.listen()
        writer = LineWriter(UnixSocket(str(tmp_path / "s")), capacity=4)
        began = time.monotonic()
        for i in range(5000):
            writer.put(result(i))
        assert time.monotonic() - began < 2.0
        assert writer.lost > 500


def test_a_reader_that_does_not_come_back_does_not_hold_up_the_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("toolkit.results.line_writer._CLOSE_S", 0.3)
    path = tmp_path / "s"
    with listening(path) as reader:
        writer = LineWriter(UnixSocket(str(path)))
        writer.put(result(0))
        reader.text(lines=1)
        reader.close()
        for i in range(1, 50):
            writer.put(result(i))
        began = time.monotonic()
        writer.close()
        assert time.monotonic() - began < 2.0
        path.touch()
    assert writer.lost == 49  # every one accounted for


def test_a_socket_where_nobody_listens_is_an_error_at_the_start(tmp_path: Path) -> None:
    with pytest.raises(MachineError, match="No program listens on the socket"):
        open_results(f"unix:{tmp_path / 'none'}").__enter__()


def test_a_file_that_is_no_socket_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(MachineError, match="Connection refused"):
        open_results(f"unix:{tmp_path / 'file'}").__enter__()


def test_a_path_longer_than_the_kernel_takes_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(MachineError, match="too long"):
        open_results(f"unix:{tmp_path / ('x' * 120)}").__enter__()


def test_no_path_is_an_error() -> None:
    with pytest.raises(InputError, match="names no socket"):
        open_results("unix:").__enter__()
