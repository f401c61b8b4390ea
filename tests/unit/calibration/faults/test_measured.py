"""Errors are those of the arithmetic, worked out another way."""

from __future__ import annotations

import numpy as np
import pytest

from calibration.faults.measured import tensor_sqnr_db
from calibration.histogram import Histogram
from calibration.rounding import grid_of
from calibration.sqnr import sqnr_db
from calibration.table import Range


@pytest.mark.parametrize("amax", [0.5, 3.0, 12.0])
@pytest.mark.parametrize("kind", ["int8", "uint8"])
def test_the_sqnr_from_counts_is_that_of_the_values(amax: float, kind: str) -> None:
    values = np.random.default_rng(0).normal(size=200_000).astype(np.float32)
    values = np.maximum(values, 0) if kind == "uint8" else values
    histogram = Histogram()
    histogram.add(values)
    grid = grid_of(Range(0.0 if kind == "uint8" else -amax, amax, "test"), kind)
    assert tensor_sqnr_db(histogram, grid) == pytest.approx(
        sqnr_db(values, grid.round(values)), abs=0.5
    )
