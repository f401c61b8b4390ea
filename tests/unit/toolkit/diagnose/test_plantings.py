"""A planted fault is ranked first; benchmarks/planted_faults.py plants a hundred."""

from __future__ import annotations

from pathlib import Path

from benchmarks.planted_faults import Subject, run_plantings
from benchmarks.plantings import KINDS


def test_at_least_nineteen_of_twenty_planted_faults_are_ranked_first(
    signs: list[Subject], tmp_path: Path
) -> None:
    rows = run_plantings(signs, plantings=20, seed=7, folder=tmp_path)
    missed = [row for row in rows if not row["found_first"]]
    assert {row["planted"] for row in rows} == set(KINDS)
    assert {row["subject"] for row in rows} == {subject.name for subject in signs}
    assert len(missed) <= 1, missed
