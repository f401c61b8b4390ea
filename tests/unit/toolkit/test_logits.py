from __future__ import annotations

import math

import numpy as np
import pytest
from numpy.typing import NDArray

from calibration.sqnr import sqnr_db
from toolkit.logits import LogitsDifference


def rows(*values: tuple[float, ...]) -> NDArray[np.float32]:
    return np.array(values, np.float32)


def test_the_ratio_is_over_all_logits_of_all_images() -> None:
    reference = rows((3.0, 4.0), (0.0, 0.0))  # 25 in all
    other = rows((3.0, 4.0), (0.3, 0.4))  # 0.25 in all
    assert sqnr_db(reference, other) == pytest.approx(20.0)


def test_batches_add_up_to_the_whole() -> None:
    rng = np.random.default_rng(0)
    reference = rng.standard_normal((10, 7)).astype(np.float32)
    other = (reference + 0.1 * rng.standard_normal((10, 7))).astype(np.float32)
    in_parts = LogitsDifference()
    for part in (slice(0, 4), slice(4, 9), slice(9, 10)):
        in_parts.add(reference[part], other[part])
    whole = LogitsDifference()
    whole.add(reference, other)
    assert in_parts.sqnr_db == pytest.approx(whole.sqnr_db)
    assert in_parts.mean_kl == pytest.approx(whole.mean_kl)


def test_equal_logits_are_infinitely_alike_and_nothing_is_noise_alone() -> None:
    assert sqnr_db(rows((1.0, 2.0)), rows((1.0, 2.0))) == math.inf
    assert sqnr_db(rows((0.0, 0.0)), rows((0.0, 0.0))) == math.inf
    assert sqnr_db(rows((0.0, 0.0)), rows((1.0, 0.0))) == -math.inf


def test_the_divergence_is_that_of_the_softmax() -> None:
    p, q = np.array([0.75, 0.25]), np.array([0.5, 0.5])
    difference = LogitsDifference()
    difference.add(np.log(p)[None].astype(np.float32), np.log(q)[None].astype(np.float32) + 5.0)
    expected = float(np.sum(p * np.log(p / q)))
    assert difference.mean_kl == pytest.approx(expected, rel=1e-5)


def test_outputs_that_are_probabilities_already_are_taken_as_they_are() -> None:
    difference = LogitsDifference()
    difference.add(rows((0.75, 0.25), (1.0, 0.0)), rows((0.5, 0.5), (1.0, 0.0)))
    expected = 0.5 * (0.75 * math.log(1.5) + 0.25 * math.log(0.5))
    assert difference.mean_kl == pytest.approx(expected, rel=1e-5)


def test_no_images_diverge_by_nothing() -> None:
    assert LogitsDifference().mean_kl == 0.0
