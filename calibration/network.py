"""A float network on its way to INT8: its pairs, and its layers as the engine will have them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import numpy as np
import onnx
from numpy.typing import NDArray

from calibration.graph import Graph
from calibration.moments import Moments
from calibration.nodes import attribute, set_constant
from calibration.placement import Placement
from calibration.repair.bias import correction
from calibration.repair.equalize import Domain, columns_divided, equalize
from calibration.repair.round_weights import round_weight
from calibration.rounding import fake_quantize
from calibration.table import Range

__all__ = ["Network", "rounded_model"]

_Layer = tuple[NDArray[np.float32], NDArray[np.float32]]


@dataclass(frozen=True)
class Network:
    """What the steps of calibration share: the prepared model, its pairs, facts about its inputs.

    `means` holds the mean input of each INT8 layer (`window_means`), `moments` how its inputs
    vary together; a layer without moments has its weights rounded to nearest. `pinned` gives the
    range of the groups of pairs whose range is not to be chosen.
    """

    model: onnx.ModelProto
    graph: Graph
    placement: Placement
    weight_bits: int
    means: Mapping[str, NDArray[np.float64]]
    moments: Mapping[str, Moments]
    pinned: Mapping[str, Range] = field(default_factory=dict)
    _rounded: dict[tuple[str, bytes], _Layer] = field(default_factory=dict)

    def rounded(self, node: onnx.NodeProto, gain: NDArray[np.float32] | None = None) -> _Layer:
        """Return the rounded weight and the corrected bias of a layer whose input has `gain`."""
        key = (node.name, b"" if gain is None else gain.tobytes())
        if key not in self._rounded:
            self._rounded[key] = self._round(node, gain)
        return self._rounded[key]

    def rounding_to_nearest(self) -> Network:
        """Return this network without moments, which rounds in no time."""
        return replace(self, moments={}, _rounded={})

    def _round(self, node: onnx.NodeProto, gain: NDArray[np.float32] | None) -> _Layer:
        weight = np.asarray(self.graph.constant(node.input[1]), np.float32)
        bias = np.asarray(self.graph.constant(node.input[2]), np.float32)
        groups = int(attribute(node, "group", 1))
        means, moments = self.means[node.name], self.moments.get(node.name)
        if gain is not None:
            divided = columns_divided(weight.astype(np.float64), gain, groups)
            weight = divided.astype(np.float32)
            means = means * gain.reshape(-1, *[1] * (means.ndim - 1))
        if moments is None:
            rounded = fake_quantize(weight, 0, self.weight_bits)
        else:
            rounded = round_weight(weight, self.weight_bits, moments, groups, gain)
        shift = correction(weight - rounded, means, groups)
        return rounded, (bias + shift).astype(np.float32)


def rounded_model(network: Network, gains: Mapping[Domain, NDArray[np.float32]]) -> onnx.ModelProto:
    """Return the float model with all gains, rounded weights and corrected biases written in."""
    graph = network.graph
    incoming = {tensor: gain for domain, gain in gains.items() for tensor in domain.everything}
    outgoing = {name: gain for domain, gain in gains.items() for name in domain.producers}
    result = equalize(network.model, gains)
    for pair in network.placement.weights:
        node = graph.node(pair.use.node)
        if node.name not in network.means:
            continue
        weight, bias = network.rounded(node, incoming.get(node.input[0]))
        lift = outgoing.get(node.name)
        if lift is not None:  # rows: their scales take the gain, their integers stay
            weight = weight * lift.reshape(-1, *[1] * (weight.ndim - 1))
            bias = bias * lift
        set_constant(result, node.input[1], weight)
        set_constant(result, node.input[2], bias)
    return result
