from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image

from toolkit.runtime.cuda.taps import taps_for

_FILTERS = {"bilinear": Image.Resampling.BILINEAR, "bicubic": Image.Resampling.BICUBIC}


def resampled(
    row: NDArray[np.uint8], start: float, end: float, outputs: int, name: str
) -> list[int]:
    """One row, by the taps: integer sums, rounded and clipped to 8 bits."""
    taps = taps_for(len(row), start, end, outputs, interpolation=name)
    sums = [
        int(row[first : first + count].astype(np.int64) @ weights[:count]) + (1 << 21)
        for first, count, weights in zip(taps.first, taps.count, taps.weights, strict=True)
    ]
    return [min(max(total >> 22, 0), 255) for total in sums]


@given(
    available=st.integers(1, 300),
    ends=st.tuples(st.floats(0.0, 1.0), st.floats(0.0, 1.0)),
    outputs=st.integers(1, 64),
    name=st.sampled_from(sorted(_FILTERS)),
    seed=st.integers(0, 2**16),
)
@settings(max_examples=200, deadline=None)
def test_the_taps_give_the_pixels_of_pillow(
    available: int, ends: tuple[float, float], outputs: int, name: str, seed: int
) -> None:
    start, end = sorted(available * share for share in ends)
    if end - start < 1e-3:  # Pillow refuses an empty box
        start, end = 0.0, float(available)
    row = np.random.default_rng(seed).integers(0, 256, available, dtype=np.uint8)
    picture = Image.fromarray(row[None])
    expected = picture.resize((outputs, 1), _FILTERS[name], box=(start, 0, end, 1))
    assert resampled(row, start, end, outputs, name) == np.asarray(expected)[0].tolist()


def test_a_resize_that_changes_nothing_takes_each_pixel_alone() -> None:
    taps = taps_for(5, 0.0, 5.0, 5, interpolation="bilinear")
    assert [int(w.argmax() + f) for w, f in zip(taps.weights, taps.first, strict=True)] == [
        *range(5)
    ]
    assert taps.weights.max(axis=1).tolist() == [1 << 22] * 5


@pytest.mark.parametrize("scale", [0.3, 1.0, 4.21875, 40.0])
def test_weights_are_padded_to_groups_of_four_with_zeros(scale: float) -> None:
    taps = taps_for(int(scale * 20) + 1, 0.0, scale * 20, 20, interpolation="bilinear")
    assert taps.weights.shape[1] % 4 == 0
    behind = np.arange(taps.weights.shape[1]) >= taps.count[:, None]
    assert not taps.weights[behind].any()
