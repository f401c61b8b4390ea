"""The last choice between recipes, on images that chose none of their ranges."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import onnx
import pytest
from numpy.typing import NDArray

from calibration.emit import Quantized, Recipe, emit
from calibration.execute import RUN_SIZE, Runner
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


def test_a_recipe_that_wins_only_with_wider_ranges_is_found() -> None:
    images = _images()
    images[17] *= 8.0
    recipe = _recipe(images)
    cut = replace(recipe, ranges=_times(recipe.ranges, 1.0 / 8.0))
    middling = replace(recipe, ranges=_times(recipe.ranges, 8.0))
    for order in ([cut, middling], [middling, cut]):
        best = best_unseen(
            [(each, recipe.ranges if each is cut else each.ranges) for each in order],
            _model(),
            images,
        )
        assert best.recipe.ranges["input"].high == recipe.ranges["input"].high


@pytest.mark.parametrize(("left", "widened"), [(0.95, False), (0.8, True)])
def test_ranges_are_widened_for_a_clear_gain_only(
    monkeypatch: pytest.MonkeyPatch, left: float, widened: bool
) -> None:
    images = _images()
    recipe = _recipe(images)
    errors = iter([1.0, left, 2.0])
    monkeypatch.setattr("calibration.unseen._error", lambda *_, **__: next(errors))
    best = best_unseen([(recipe, _times(recipe.ranges, 2.0))], _model(), images)
    assert (best.recipe.ranges != recipe.ranges) is widened


def test_a_loser_is_run_on_no_more_images_than_show_it(monkeypatch: pytest.MonkeyPatch) -> None:
    images = _images()
    recipe = _recipe(images)
    bad = replace(recipe, ranges=_times(recipe.ranges, 0.01))
    runs: list[int] = []
    run = Runner.run

    def counted(
        self: Runner, inputs: dict[str, NDArray[np.float32]], outputs: Sequence[str]
    ) -> dict[str, NDArray[np.float32]]:
        runs.append(len(inputs["input"]))
        return run(self, inputs, outputs)

    monkeypatch.setattr(Runner, "run", counted)
    best_unseen([(recipe, recipe.ranges)], _model(), images)
    alone = sum(runs)
    best_unseen([(recipe, recipe.ranges), (bad, bad.ranges)], _model(), images)
    assert alone == 2 * len(images)  # the float model, and the recipe
    assert RUN_SIZE <= sum(runs) - 2 * alone <= 3 * RUN_SIZE  # it, and what was already at work


def test_logits_that_are_not_numbers_lose(monkeypatch: pytest.MonkeyPatch) -> None:
    images = _images()
    recipe = _recipe(images)
    wide = replace(recipe, ranges=_times(recipe.ranges, 50.0))
    broken = replace(recipe, ranges=_times(recipe.ranges, 2.0))

    def emitted(given: Recipe) -> Quantized:
        made = emit(given)
        if given.ranges == broken.ranges:
            bias = next(t for t in made.model.graph.initializer if t.name == "a_bias")
            bias.CopyFrom(onnx.numpy_helper.from_array(np.full(8, np.nan, np.float32), bias.name))
        return made

    monkeypatch.setattr("calibration.unseen.emit", emitted)
    best = best_unseen([(each, each.ranges) for each in (broken, wide)], _model(), images)
    assert best.recipe.ranges == wide.ranges


def test_all_images_that_no_trial_saw_decide() -> None:
    images = _images(128)
    images[100, :, 5, 5] = 40.0  # three values of 55,296: the 99.99th percentile cuts them
    made = quantize(_model(), lambda: [images], scheme=SCHEME, effort="balanced", model_digest="m")
    assert made.recipe.ranges["input"].high > 15.0


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
