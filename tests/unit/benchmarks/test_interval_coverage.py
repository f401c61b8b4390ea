from __future__ import annotations

import json

import pytest

from benchmarks.conditions import RESULTS
from benchmarks.interval_coverage import rows


def test_the_written_figures_are_of_2000_runs_and_every_row_keeps_what_it_is_held_to() -> None:
    values = json.loads((RESULTS / "interval-coverage.json").read_text(encoding="utf-8"))
    assert values["runs"] == 2000
    assert [row["interval"] for row in values["rows"] if not row["kept"]] == []


def test_a_few_runs_give_the_written_rows_again() -> None:
    values = json.loads((RESULTS / "interval-coverage.json").read_text(encoding="utf-8"))
    few = list(rows(60))
    names = [(row["interval"], row["truth"]) for row in values["rows"]]
    assert [(row.interval, row.truth) for row in few] == names
    for row, written in zip(few, values["rows"], strict=True):
        assert abs(row.covered - written["covered"]) <= 0.13, row
        assert row.width == pytest.approx(written["width"], rel=0.35)
