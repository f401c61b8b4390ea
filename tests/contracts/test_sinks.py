"""What every row of SINKS promises."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import pytest

from tests.unit.toolkit.results.line_readers import Broker, find_mosquitto, listening, serving_mqtt
from toolkit.results import SINKS, Result, open_results
from toolkit.top_k import Guess

Captured = pytest.CaptureFixture[str]


Reader = tuple[str, Callable[[], str]]
"""Where to write, and how to read it back."""


@contextmanager
def to_stdout(_: Path, captured: Captured) -> Iterator[Reader]:
    yield "-", lambda: captured.readouterr().out


@contextmanager
def to_file(folder: Path, _: Captured) -> Iterator[Reader]:
    path = folder / "results.jsonl"
    yield str(path), path.read_text


@contextmanager
def to_unix_socket(folder: Path, _: Captured) -> Iterator[Reader]:
    with listening(folder / "s") as reader:
        yield f"unix:{folder / 's'}", lambda: reader.text(lines=20)


@contextmanager
def to_mqtt(folder: Path, _: Captured) -> Iterator[Reader]:
    pytest.importorskip("paho.mqtt.client", reason="paho-mqtt is not installed")
    if find_mosquitto() is None:
        pytest.skip("mosquitto is not installed")
    with serving_mqtt(folder) as broker, broker.subscribed("a/b") as received:
        yield f"mqtt://127.0.0.1:{broker.port}/a/b", lambda: Broker.text(received, lines=20)


WRITTEN: dict[str, Callable[[Path, Captured], AbstractContextManager[Reader]]] = {
    "-": to_stdout,
    "file": to_file,
    "unix": to_unix_socket,
    "mqtt": to_mqtt,
}
"""A new sink needs a row here."""


def test_every_sink_is_tested_here() -> None:
    assert WRITTEN.keys() == SINKS.keys()


@pytest.mark.parametrize("kind", sorted(SINKS))
def test_each_result_arrives_as_one_json_line(kind: str, tmp_path: Path, capfd: Captured) -> None:
    guess = Guess(4, "stop sign", "stop", 0.5)
    with WRITTEN[kind](tmp_path, capfd) as (where, read_back):
        with open_results(where) as sink:
            for i in range(20):
                sink.put(Result(i, 1.0, "read", 2.0, 3.0, (guess,)))
        lines = [json.loads(line) for line in read_back().splitlines()]
    assert [line["index"] for line in lines] == list(range(20))
    assert lines[0]["top"][0]["label"] == "stop sign"
    assert sink.lost == 0
