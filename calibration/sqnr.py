"""Signal-to-quantization-noise ratio: how far values lie from what they should be, in decibels."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["decibels", "sqnr_db"]


def sqnr_db(reference: NDArray[Any], values: NDArray[Any]) -> float:
    """Return the power of `reference` over that of the difference, over all elements, in dB."""
    power = float(np.square(reference, dtype=np.float64).sum())
    error = float(np.square(np.subtract(values, reference, dtype=np.float64)).sum())
    return decibels(power, error)


def decibels(power: float, error: float) -> float:
    """Return 10 log10(power / error): infinite for no error, minus infinite for no power.

    An error that is not finite leaves nothing of the signal: minus infinity.
    """
    if error == 0.0:
        return math.inf
    if not math.isfinite(error) or power <= 0.0:
        return -math.inf
    return 10.0 * math.log10(power / error)
