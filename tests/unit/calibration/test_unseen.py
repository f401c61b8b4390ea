"""The last choice between recipes, on images that chose none of their ranges."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import onnx
from numpy.typing import NDArray

from calibration.emit import Recipe
from calibration.quantize import quantize
from calibration.schemes import SCHEMES
from calibration.table import Range
from calibration.unseen import best_unseen
from tests.unit.calibration.nets import Net

SCHEME = SCHEMES["tensorrt"]


def _model() -> onnx.ModelProto:
    net = Net(channels=3, size=12)
    x = net.add("Relu", net.conv("input", 8, 3, name="a"))
    x = net.add("Relu", net.conv(x, 8, 3, name="b"))
    pooled = net.add("Flatten", net.add("GlobalAveragePool", x))
    return net.model(net.gemm(pooled, 8, 5), opset=17)


def _images(n: int = 40) -> NDArray[np.float32]:
    return np.random.default_rng(3).normal(size=(n, 3, 12, 12)).astype(np.float32)


def _recipe(images: NDArray[np.float32]) -> Recipe:
    """Return the recipe whose ranges are those of the largest values."""
    made = quantize(_model(), lambda: [images], scheme=SCHEME, method="minmax", model_digest="m")
    return made.recipe


def _times(ranges: dict[str, Range], factor: float) -> dict[str, Range]:
    return {n: Range(r.low * factor, r.high * factor, f"x {factor:g}") for n, r in ranges.items()}


def test_ranges_that_cut_values_of_rare_images_are_widened() -> None:
    images = _images()
    images[17] *= 8.0  # one of forty holds all the large values
    recipe = _recipe(images)
    narrow = replace(recipe, ranges=_times(recipe.ranges, 1.0 / 8.0))
    best = best_unseen([(narrow, recipe.ranges)], _model(), images)
    assert best.recipe.ranges["input"].high > 4.0 * narrow.ranges["input"].high


def test_ranges_that_fit_are_left_alone() -> None:
    images = _images()
    recipe = _recipe(images)
    far = _times(recipe.ranges, 50.0)
    best = best_unseen([(recipe, far)], _model(), images)
    assert best.recipe.ranges == recipe.ranges


def test_of_several_recipes_the_one_with_least_error_wins() -> None:
    images = _images()
    recipe = _recipe(images)
    bad = replace(recipe, ranges=_times(recipe.ranges, 0.1))
    for order in ([bad, recipe], [recipe, bad]):
        best = best_unseen([(each, each.ranges) for each in order], _model(), images)
        assert best.recipe.ranges == recipe.ranges


def test_fast_rounds_weights_to_nearest_even_with_seven_bits() -> None:
    images = _images()
    made = {
        effort: quantize(
            _model(),
            lambda: [images],
            scheme=SCHEMES["onnxruntime-x86"],
            effort=effort,
            model_digest="m",
        )
        for effort in ("fast", "balanced")
    }
    assert not made["fast"].recipe.network.moments
    assert made["balanced"].recipe.network.moments
