"""The candidates of a search: the same calibration, with more and more layers in float."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from calibration.emit import Quantized, Recipe
from calibration.graph import opset_of
from calibration.keep_float import keep_float
from calibration.precision import fp16_model
from toolkit.artifacts import OnnxModel
from toolkit.int8_model import write_int8_model

__all__ = ["Candidates", "in_final_precision"]

_SCALE_OPSET = 19
"""QuantizeLinear takes FP16 scales from here on."""


class Candidates:
    """Candidate k keeps the first k of `ranking()` in float, which candidate 0 does not ask for.

    Files go to `folder`, one at a time.
    """

    def __init__(
        self,
        folder: Path,
        source: OnnxModel,
        recipe: Recipe,
        ranking: Callable[[], Sequence[str]],
    ) -> None:
        self._folder = folder
        self._source = source
        self._recipe = recipe
        self._ranking = ranking

    def made(self, count: int) -> Quantized:
        """Return the candidate with `count` layers in float."""
        return keep_float(self._recipe, self.kept(count))

    def kept(self, count: int) -> tuple[str, ...]:
        """Return the layers that candidate `count` keeps in float, the most sensitive first."""
        return tuple(self._ranking())[:count] if count else ()

    def written(self, made: Quantized) -> Path:
        """Write a candidate for evaluation and return where; the next one replaces it."""
        return write_int8_model(made, self._source, self._folder / "candidate.int8.onnx").path


def in_final_precision(
    made: Quantized, images: NDArray[np.float32]
) -> tuple[Quantized, tuple[str, ...]]:
    """Return the model with its float parts in the precision of its runtime, and notes on that.

    FP16 for the TensorRT family, unless the graph is older than FP16 scales: then the builder flag
    FP16 does it on the device. FP32 on CPUs. What exceeds FP16 on `images` stays FP32.
    """
    if made.recipe.scheme.activations != "int8":
        return made, ()
    opset = opset_of(made.model)
    if opset < _SCALE_OPSET:
        return made, (f"float layers stay FP32: opset {opset} has no FP16 scales",)
    half, notes = fp16_model(made.model, batches=[images])
    return replace(made, model=half), notes
