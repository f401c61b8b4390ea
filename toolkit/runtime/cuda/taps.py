"""The weights that Pillow's resize gives each source pixel, bit for bit, for a GPU to apply.

After Pillow's `precompute_coeffs` and `normalize_coeffs_8bpc` (src/libImaging/Resample.c, HPND
licence): the same operations in the same order, in the same precisions.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

__all__ = ["FILTERS", "Taps", "taps_for"]

_FRACTION_BITS = 22  # PRECISION_BITS, and FRACTION_BITS in preprocess.cu
_PADDED_TO = 4  # the kernel reads four weights at once

Doubles = NDArray[np.float64]
Ints = NDArray[np.int32]


def _bilinear(x: Doubles) -> Doubles:
    x = np.abs(x)
    return np.where(x < 1.0, 1.0 - x, 0.0)


def _bicubic(x: Doubles) -> Doubles:
    x = np.abs(x)
    near = ((-0.5 + 2.0) * x - (-0.5 + 3.0)) * x * x + 1
    far = (((x - 5) * x + 8) * x - 4) * -0.5
    return np.where(x < 1.0, near, np.where(x < 2.0, far, 0.0))


FILTERS: dict[str, tuple[Callable[[Doubles], Doubles], float]] = {
    "bilinear": (_bilinear, 1.0),
    "bicubic": (_bicubic, 2.0),
}
"""`Preprocess.interpolation` -> the filter and how far it looks, in output pixels."""


@dataclass(frozen=True)
class Taps:
    """Output i is the sum of `weights[i, k] * source[first[i] + k]` for k below `count[i]`.

    Weights are integers with 22 fraction bits; those behind the last one are 0.
    """

    first: Ints
    count: Ints
    weights: Ints


def taps_for(available: int, start: float, end: float, outputs: int, *, interpolation: str) -> Taps:
    """Return the taps that resize [start, end) of `available` source pixels to `outputs` pixels."""
    filtered, reach = FILTERS[interpolation]
    # Pillow keeps the box in 32-bit floats, subtracts in them, and goes on in doubles.
    low = np.float32(start)
    scale = float(np.float32(end) - low) / outputs
    stretch = max(scale, 1.0)  # antialias: the filter grows with the source
    support = reach * stretch
    center = float(low) + (np.arange(outputs) + 0.5) * scale
    # Truncation to int is towards zero in C; below zero it is clipped anyway.
    first = np.maximum((center - support + 0.5).astype(np.int64), 0)
    count = np.minimum((center + support + 0.5).astype(np.int64), available) - first
    columns = -(-int(count.max()) // _PADDED_TO) * _PADDED_TO
    k = np.arange(columns)
    raw = filtered((k + first[:, None] - center[:, None] + 0.5) * (1.0 / stretch))
    raw[k >= count[:, None]] = 0.0
    total = np.zeros(outputs)
    for column in range(columns):  # one after the other, as C adds them
        total += raw[:, column]
    share = np.divide(raw, total[:, None], out=raw, where=total[:, None] != 0.0)
    fixed = np.trunc(share * (1 << _FRACTION_BITS) + np.where(share < 0.0, -0.5, 0.5))
    return Taps(
        first=first.astype(np.int32),
        count=count.astype(np.int32),
        weights=fixed.astype(np.int32),
    )
