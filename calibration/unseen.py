"""The last choice between recipes, on images that chose none of their ranges.

Ranges that cut the largest values look best on a few images and fail on the rare ones that hold
such values: on a ResNet-18 trained on road signs the 99.99th percentile left 31 dB where the
largest value seen left 44 dB, two thirds of the error in one image of a hundred. On MobileNetV2
it is the other way round, 19 dB and 15 dB. So every recipe is also tried with wider ranges, on all
images at hand.

An image's error is relative to its own logits and at most 1: an image that is lost is lost once.
On an EfficientNet-B0 three images of 112 held nine tenths of the squared error, and ranges wide
enough for them gave other answers on three images of ten, instead of two.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
import onnx
from numpy.typing import NDArray

from calibration.emit import Quantized, Recipe, emit
from calibration.execute import logits_in_runs, logits_of
from calibration.table import Range

__all__ = ["Candidate", "best_unseen"]

_STEPS = (0.0, 0.5, 1.0)
"""How far towards the widest ranges; the widest are tried where half the way was the best yet."""
_CLEARLY = 0.9
"""What wider ranges must leave of the error, at most: less is the luck of a hundred images."""

Candidate = tuple[Recipe, Mapping[str, Range]]
"""A recipe and, for each of its tensors, the range of the largest values seen."""


def best_unseen(
    candidates: Sequence[Candidate], model: onnx.ModelProto, images: NDArray[np.float32]
) -> Quantized:
    """Return the model with the least relative error of the logits on `images` (n, C, H, W).

    `model` is the float model. Each of `candidates` is also tried with wider ranges. A loser costs
    only the images until its error is that of the best: put the likely winner first.
    """
    wanted = logits_of(model, images)
    best: Quantized | None = None
    least = math.inf
    for recipe, widest in candidates:
        for step in _STEPS:
            ranges = {n: _wider(span, widest[n], step) for n, span in recipe.ranges.items()}
            if step > 0.0 and ranges == recipe.ranges:
                break  # they are the widest already
            made = emit(replace(recipe, ranges=ranges))
            limit = least * _CLEARLY if step > 0.0 else least
            error = _error(made.model, images, wanted, limit=limit)
            if best is None or error < limit:
                best, least = made, error
            elif step > 0.0:
                break
    if best is None:
        raise ValueError("there are no candidates")
    return best


def _error(
    model: onnx.ModelProto,
    images: NDArray[np.float32],
    wanted: NDArray[np.float32],
    *,
    limit: float,
) -> float:
    """Return the sum of the images' relative errors, or a value from `limit` on that it reaches."""
    total, seen = 0.0, 0
    for found in logits_in_runs(model, images):
        part = wanted[seen : seen + len(found)]
        total += sum(map(_relative, found, part))
        seen += len(found)
        if not total < limit:
            break
    return total


def _relative(found: NDArray[np.float32], wanted: NDArray[np.float32]) -> float:
    """Return the power of an image's error over that of its logits: 1 for a lost image."""
    if not np.isfinite(found).all():
        return math.inf
    error = float(np.square(np.subtract(found, wanted, dtype=np.float64)).sum())
    power = float(np.square(wanted, dtype=np.float64).sum())
    return error / power if error < power else float(error > 0.0)


def _wider(span: Range, widest: Range, step: float) -> Range:
    low = span.low + step * min(0.0, widest.low - span.low)
    high = span.high + step * max(0.0, widest.high - span.high)
    if (low, high) == (span.low, span.high):
        return span
    method = widest.method if step == 1.0 else f"{span.method}, {step:g} to {widest.method}"
    return Range(low, high, method)
