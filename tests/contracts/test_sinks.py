"""What every row of SINKS promises."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from toolkit.results import SINKS, Result, open_results
from toolkit.top_k import Guess

Captured = pytest.CaptureFixture[str]


def written_to_stdout(_: Path, captured: Captured) -> str:
    return captured.readouterr().out


def written_to_file(folder: Path, _: Captured) -> str:
    return (folder / "results.jsonl").read_text()


WRITTEN: dict[str, tuple[Callable[[Path], str], Callable[[Path, Captured], str]]] = {
    "-": (lambda _: "-", written_to_stdout),
    "file": (lambda folder: str(folder / "results.jsonl"), written_to_file),
}
"""Row of SINKS -> where to write, and how to read it back; a new sink needs a row here."""


def test_every_sink_is_tested_here() -> None:
    assert WRITTEN.keys() == SINKS.keys()


@pytest.mark.parametrize("kind", sorted(SINKS))
def test_each_result_arrives_as_one_json_line(kind: str, tmp_path: Path, capfd: Captured) -> None:
    where, read_back = WRITTEN[kind]
    guess = Guess(4, "stop sign", "stop", 0.5)
    with open_results(where(tmp_path)) as sink:
        for i in range(20):
            sink.put(Result(i, 1.0, "read", 2.0, 3.0, (guess,)))
    lines = [json.loads(line) for line in read_back(tmp_path, capfd).splitlines()]
    assert [line["index"] for line in lines] == list(range(20))
    assert lines[0]["top"][0]["label"] == "stop sign"
    assert sink.lost == 0
