from __future__ import annotations

from dataclasses import replace

from calibration.methods import METHODS
from calibration.table import CalibrationTable
from toolkit.training.qat.origin import QAT, Origin, origin_of

TABLE = CalibrationTable("0" * 64, QAT, 8, 0, {})


def test_what_a_note_says_is_read_from_it() -> None:
    for method in ("auto", *METHODS):
        origin = Origin(12, method, "balanced")
        assert origin_of(replace(TABLE, notes=("something else", origin.note()))) == origin


def test_other_tables_and_notes_tell_of_no_fine_tuning() -> None:
    note = Origin(3, "auto", "best").note()
    assert origin_of(replace(TABLE, method="auto", notes=(note,))) is None
    assert origin_of(replace(TABLE, notes=(f"{note}, or so",))) is None


def test_no_calibration_method_is_called_like_fine_tuning() -> None:
    assert QAT not in METHODS
