"""The last choice between recipes, on images that chose none of their ranges.

Ranges that cut the largest values look best on a few images and fail on the rare ones that hold
such values: on a ResNet-18 trained on road signs the 99.99th percentile left 31 dB where the
largest value seen left 44 dB, two thirds of the error in one image of a hundred. On MobileNetV2
it is the other way round, 19 dB and 15 dB. So the winner is also tried with wider ranges.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
import onnx
from numpy.typing import NDArray

from calibration.emit import Quantized, Recipe, emit
from calibration.execute import logits_of
from calibration.sqnr import sqnr_db
from calibration.table import Range

__all__ = ["Candidate", "best_unseen"]

_STEPS = (0.5, 1.0)
"""How far towards the widest ranges; the next is tried where the one before was a gain."""

Candidate = tuple[Recipe, Mapping[str, Range]]
"""A recipe and, for each of its tensors, the range of the largest values seen."""


def best_unseen(
    candidates: Sequence[Candidate], model: onnx.ModelProto, images: NDArray[np.float32]
) -> Quantized:
    """Return the model with the least error of the logits on `images` (n, C, H, W).

    `model` is the float model. The best of `candidates` is also tried with wider ranges.
    """
    wanted = logits_of(model, images)

    def tried(recipe: Recipe) -> tuple[float, Quantized]:
        made = emit(recipe)
        return sqnr_db(wanted, logits_of(made.model, images)), made

    results = [(tried(recipe), recipe, widest) for recipe, widest in candidates]
    (sqnr, best), recipe, widest = max(results, key=lambda result: result[0][0])
    for step in _STEPS:
        ranges = {name: _wider(span, widest[name], step) for name, span in recipe.ranges.items()}
        if ranges == recipe.ranges:
            break  # they are the widest already
        found, made = tried(replace(recipe, ranges=ranges))
        if found <= sqnr:
            break
        sqnr, best = found, made
    return best


def _wider(span: Range, widest: Range, step: float) -> Range:
    low = span.low + step * min(0.0, widest.low - span.low)
    high = span.high + step * max(0.0, widest.high - span.high)
    if (low, high) == (span.low, span.high):
        return span
    method = widest.method if step == 1.0 else f"{span.method}, {step:g} to {widest.method}"
    return Range(low, high, method)
