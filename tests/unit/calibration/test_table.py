"""The table's text: what it holds, and what older and newer tables are taken for."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from calibration.errors import CalibrationError
from calibration.table import CalibrationTable, Range, table_from_json

PLAIN = CalibrationTable("0" * 64, "minmax", 8, 0, {"image": Range(-1.0, 1.0, "minmax")})


def _version(table: CalibrationTable) -> int:
    version: int = json.loads(table.to_json())["version"]
    return version


@pytest.mark.parametrize("shifts", [False, True])
@pytest.mark.parametrize("confidences", [(), (0.25, 0.75)])
def test_a_table_survives_its_file(shifts: bool, confidences: tuple[float, ...]) -> None:
    made = replace(PLAIN, explicit_shifts=shifts, confidences=confidences)
    assert table_from_json(made.to_json(), where="t") == made


def test_a_table_without_explicit_shifts_keeps_its_text() -> None:
    assert "explicit_shifts" not in PLAIN.to_json()
    seen = replace(PLAIN, confidences=(0.5,))
    assert "explicit_shifts" not in seen.to_json()
    shifted = replace(seen, explicit_shifts=True)
    assert [_version(table) for table in (PLAIN, seen, shifted)] == [1, 2, 3]


def test_a_table_of_the_first_version_has_the_digest_that_it_always_had() -> None:
    old = {
        "effort": "balanced",
        "images": [],
        "method": "minmax",
        "model": "0" * 64,
        "notes": [],
        "ranges": {"image": {"high": 1.0, "low": -1.0, "method": "minmax"}},
        "samples": 8,
        "scheme": "",
        "seed": 0,
        "uncalibrated": False,
        "version": 1,
    }
    text = json.dumps(old, indent=1) + "\n"
    read = table_from_json(text, where="t")
    assert read == PLAIN
    assert read.to_json() == text


def test_a_table_from_a_newer_edgekit_says_so() -> None:
    values = json.loads(PLAIN.to_json())
    with pytest.raises(CalibrationError, match=r"newer Edgekit \(table version 4\)"):
        table_from_json(json.dumps({**values, "version": 4}), where="t")


def test_shifts_that_are_neither_true_nor_false_are_damage() -> None:
    values = json.loads(replace(PLAIN, explicit_shifts=True).to_json())
    with pytest.raises(CalibrationError, match="neither true nor false"):
        table_from_json(json.dumps({**values, "explicit_shifts": "no"}), where="t")
