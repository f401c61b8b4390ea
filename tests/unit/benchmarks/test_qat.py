from __future__ import annotations

import json

import numpy as np
import pytest

pytest.importorskip("torch", reason="needs pip install 'edgekit[train]'")

from benchmarks.conditions import RESULTS
from benchmarks.qat import paired, recovered

LABELS = np.array([0, 1, 1, 0])
RIGHT = np.array([[2, 0], [0, 2], [0, 2], [2, 0]], np.float32)
WRONG_TWICE = np.array([[0, 2], [2, 0], [0, 2], [2, 0]], np.float32)


def test_half_of_the_loss_is_half_in_top1_and_in_cross_entropy() -> None:
    scores = {
        "fp32": {"top1": 0.9, "cross_entropy": 0.3},
        "calibrated": {"top1": 0.7, "cross_entropy": 0.9},
        "qat": {"top1": 0.8, "cross_entropy": 0.6},
    }
    assert recovered(scores, "top1") == pytest.approx(0.5)
    assert recovered(scores, "cross_entropy") == pytest.approx(0.5)


def test_nothing_is_recovered_where_calibration_lost_nothing() -> None:
    same = {"top1": 0.9, "cross_entropy": 0.3}
    scores = {"fp32": same, "calibrated": same, "qat": {"top1": 0.95, "cross_entropy": 0.2}}
    assert recovered(scores, "top1") is None
    assert recovered(scores, "cross_entropy") is None


def test_a_pair_counts_what_only_one_gets_right_and_how_far_the_cross_entropy_rose() -> None:
    found = paired(RIGHT, WRONG_TWICE, LABELS)
    assert (found["only_first_right"], found["only_second_right"]) == (2, 0)
    assert found["mcnemar_p"] == pytest.approx(0.5)
    assert found["cross_entropy_rise"] == pytest.approx(1.0)  # two of four by 2.0
    assert found["standard_error"] == pytest.approx(np.sqrt(4 / 3) / 2)


@pytest.mark.parametrize("figure", ["top1", "cross_entropy"])
def test_every_written_network_lost_beyond_doubt_and_got_half_back(figure: str) -> None:
    values = json.loads((RESULTS / "qat.json").read_text(encoding="utf-8"))
    assert {row["network"] for row in values["rows"]} == set(values["networks"])
    for row in values["rows"]:
        lost = row["fp32_to_calibrated"]
        assert lost["mcnemar_p"] < 1e-3
        assert lost["cross_entropy_rise"] > 4 * lost["standard_error"]
        assert row[f"recovered_{figure}"] >= 0.5
