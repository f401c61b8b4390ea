from __future__ import annotations

import json

import numpy as np
import pytest

from toolkit.robustness import CorruptedScore, Robustness, robustness_from_dict
from toolkit.statistics import paired_drop_interval


def bits(right: np.ndarray) -> str:
    return "".join("01"[int(each)] for each in right)


def two_models(
    n: int, *, gap: float, added: float, seed: int = 0, severities: int = 5
) -> Robustness:
    """b loses the share `gap` of a's right answers when clean, and `added` more when corrupted."""
    rng = np.random.default_rng(seed)
    hardness = rng.random(n)  # of an image, alike in every cell
    a = bits(hardness < 0.9)
    scores = [CorruptedScore("clean", 0, a, bits(hardness < 0.9 - gap))]
    scores += [
        CorruptedScore("contrast", s, a, bits(hardness < 0.9 - gap - added))
        for s in range(1, severities + 1)
    ]
    return Robustness(0, 8, 8, tuple(scores))


def test_the_gap_of_a_cell_is_the_paired_drop() -> None:
    score = CorruptedScore("contrast", 1, "11110", "11001")
    assert score.top1 == (0.8, 0.6)
    assert score.gap.points == pytest.approx(20.0)
    assert score.gap.interval == paired_drop_interval(2, 1, 5).times(100.0)


def test_the_mean_gap_counts_an_image_once_however_many_cells_it_has() -> None:
    few = two_models(400, gap=0.02, added=0.05, severities=1)
    many = two_models(400, gap=0.02, added=0.05, severities=5)
    assert many.mean_gap().points == pytest.approx(few.mean_gap().points)
    assert many.mean_gap().interval.width == pytest.approx(few.mean_gap().interval.width)


def test_what_corruption_adds_to_the_gap_is_told_from_the_clean_gap() -> None:
    found = two_models(2000, gap=0.03, added=0.06)
    assert found.clean.gap.points == pytest.approx(3.0, abs=1.2)
    assert 6.0 in found.added_gap().interval
    assert found.added_gap().interval.low > 0.0
    assert 0.0 in two_models(500, gap=0.03, added=0.0).added_gap().interval


def test_the_interval_of_the_mean_gap_covers_the_truth_as_often_as_it_says() -> None:
    runs = (two_models(300, gap=0.05, added=0.05, seed=seed, severities=2) for seed in range(300))
    assert sum(10.0 in run.mean_gap().interval for run in runs) >= 275


def test_a_record_survives_json_and_an_edited_one_does_not() -> None:
    found = two_models(20, gap=0.1, added=0.1)
    values = json.loads(json.dumps(found.to_dict(), allow_nan=False))
    assert robustness_from_dict(values) == found
    with pytest.raises(ValueError, match="does not follow"):
        robustness_from_dict({**values, "gap_points": 99.0})
    with pytest.raises(ValueError, match="without clean"):
        robustness_from_dict({**values, "scores": values["scores"][1:]})
    broken = [dict(score) for score in values["scores"]]
    broken[2]["right_b"] = "01x"
    with pytest.raises(ValueError, match="one answer for each of 20 images"):
        robustness_from_dict({**values, "scores": broken})


def test_one_image_bounds_nothing() -> None:
    interval = two_models(1, gap=0.0, added=0.0).mean_gap().interval
    assert (interval.low, interval.high) == (-100.0, 100.0)
