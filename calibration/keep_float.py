"""Which layers INT8 costs most, and the same model again with some of them in float."""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from calibration.choose import grid_for
from calibration.emit import Quantized, Recipe, emit, recentred_groups
from calibration.graph import Use
from calibration.placement import Pair, Placement, place
from calibration.trials import Trial, output_errors

__all__ = ["keep_float", "layer_errors"]

_KEPT = "kept in float: INT8 here costs more accuracy than elsewhere"


def layer_errors(
    recipe: Recipe,
    images: NDArray[np.float32],
    *,
    progress: Callable[[int, int], None] | None = None,
) -> dict[str, float]:
    """Return the error of the logits that each INT8 layer makes alone, the largest first.

    All other layers stay float: the layer reads its input through Q/DQ and has its rounded weights
    and corrected bias. Errors are relative to the power of the float logits; they nearly add up
    (see `trials`). `images` are network inputs (n, C, H, W) and need no labels.
    """
    network = recipe.network
    graph, placement = network.graph, network.placement
    groups = recentred_groups(graph, placement, recipe.scheme, recipe.explicit)
    recentred = {pair.tensor for pair in placement.pairs if pair.group in groups}
    gains = {tensor: gain for domain, gain in recipe.gains.items() for tensor in domain.everything}
    pairs = []
    trials = {}
    for name in placement.int8_nodes:
        tensor = graph.node(name).input[0]
        pairs.append(Pair(tensor, (Use(name, 0),), name))
        grid = grid_for(recipe.ranges[tensor], recipe.scheme, recentred=tensor in recentred)
        trials[name] = [Trial(grid, gains.get(tensor))]
    alone = replace(network, placement=replace(placement, pairs=tuple(pairs)))
    errors = output_errors(alone, trials, images, progress=progress)
    return dict(sorted(((n, e[0]) for n, e in errors.items()), key=lambda item: -item[1]))


def keep_float(recipe: Recipe, layers: Collection[str]) -> Quantized:
    """Return the model of `recipe` with `layers` in float, with the weights they had.

    An Add whose other operand would then need a pair that was never calibrated runs in float too.
    Raises CalibrationError for an unknown layer, and when no layer is left in INT8.
    """
    network = recipe.network
    kept = dict.fromkeys(layers, _KEPT)
    placement = place(network.model, recipe.scheme, keep_float=kept)
    while loose := _without_range(placement, recipe):
        kept |= dict.fromkeys(loose, "the INT8 layer it fused with is kept in float")
        placement = place(network.model, recipe.scheme, keep_float=kept)
    return emit(replace(recipe, network=replace(network, placement=placement)))


def _without_range(placement: Placement, recipe: Recipe) -> list[str]:
    uses = [u for pair in placement.pairs if pair.tensor not in recipe.ranges for u in pair.uses]
    return [use.node for use in uses]
