"""Cross-layer equalization: gives the channels of an activation similar ranges.

One scale covers all channels of a tensor, so a channel with a tenth of the range keeps a tenth of
the codes. A gain g per channel, folded into the rows of the producers (W g, b g) and out of the
columns of the consumers (W / g), leaves the function as it is: exactly so through Relu, pooling
and residual Add. Through Clip(0, h) it is exact only for channels that never reach h, so only
those that did not in calibration get a gain: a change of function, and recorded as one. Never
through Sigmoid, HardSwish, Mul or Concat.
M. Nagel et al., "Data-Free Quantization Through Weight Equalization and Bias Correction",
ICCV 2019, section 4.1; here the ranges are measured and the strength is chosen by output error.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import onnx
from numpy.typing import NDArray

from calibration.graph import Graph
from calibration.nodes import attribute, set_constant
from calibration.placement import Groups, Placement

__all__ = ["Domain", "columns_divided", "domains", "equalize", "gain_of"]

_LARGEST_GAIN = 64.0
_CARRIES_GAIN = frozenset(
    {"Relu", "LeakyRelu", "MaxPool", "AveragePool", "GlobalAveragePool", "GlobalMaxPool"}
)


@dataclass(frozen=True)
class Domain:
    """Tensors that share one gain per channel.

    `producers` and `consumers` are Conv and Gemm nodes by name; `tensors` those with a Q/DQ pair;
    `cap` is the upper bound of the Clip nodes inside, infinity without one.
    """

    tensors: tuple[str, ...]
    everything: frozenset[str]
    producers: tuple[str, ...]
    consumers: tuple[str, ...]
    cap: float


def domains(graph: Graph, placement: Placement) -> tuple[Domain, ...]:
    """Return the domains that hold a Q/DQ pair and that only Conv and Gemm enter and leave."""
    groups, blocked, caps = Groups(), set(graph.inputs) | set(graph.outputs), {}
    touched: dict[str, None] = {}
    for node in graph.nodes:
        source, result = node.input[0], node.output[0]
        cap = _clip_cap(graph, node)
        if _is_layer(graph, node):
            touched |= {source: None, result: None}
            continue
        joined = _joined(graph, node)
        if cap is not None:
            joined, caps[result] = [source, result], cap
        if joined:
            groups.join(joined)
            touched |= dict.fromkeys(joined)
        else:
            blocked.update(node.input, node.output)
    members: dict[str, list[str]] = defaultdict(list)
    for tensor in touched:
        members[groups.root(tensor)].append(tensor)
    paired = {pair.tensor for pair in placement.pairs}
    found = []
    for names in members.values():
        domain = _domain(graph, names, paired, caps)
        if domain is not None and not blocked.intersection(names):
            found.append(domain)
    return tuple(found)


def gain_of(
    domain: Domain,
    low: NDArray[np.float32],
    high: NDArray[np.float32],
    *,
    strength: float,
) -> NDArray[np.float32]:
    """Return the gain per channel, 1 or more: (widest range / own range) ** strength.

    Channels that were zero throughout keep 1; so do those that reached the cap of a Clip, and
    the others are not lifted beyond it.
    """
    own = np.maximum(np.abs(low), np.abs(high)).astype(np.float64)
    widest = float(own.max(initial=0.0))
    live = own > widest * 1e-6
    gain = np.ones_like(own)
    gain[live] = (widest / own[live]) ** strength
    gain = np.minimum(gain, _LARGEST_GAIN)
    if np.isfinite(domain.cap):
        free = live & (own < domain.cap)
        gain = np.where(free, np.minimum(gain, domain.cap / np.where(free, own, 1.0)), 1.0)
    return gain.astype(np.float32)


def equalize(
    model: onnx.ModelProto, gains: Mapping[Domain, NDArray[np.float32]]
) -> onnx.ModelProto:
    """Return a copy whose tensors carry the gain of their domain, and whose consumers undo it."""
    graph = Graph(model)
    values: dict[str, NDArray[np.float64]] = {}

    def current(name: str) -> NDArray[np.float64]:
        return values[name] if name in values else np.asarray(graph.constant(name), np.float64)

    for domain, gain in gains.items():
        for name in domain.producers:
            node = graph.node(name)
            weight = current(node.input[1])
            values[node.input[1]] = weight * gain.reshape(-1, *[1] * (weight.ndim - 1))
            values[node.input[2]] = current(node.input[2]) * gain
        for name in domain.consumers:
            node = graph.node(name)
            groups = int(attribute(node, "group", 1))
            values[node.input[1]] = columns_divided(current(node.input[1]), gain, groups)
    result = onnx.ModelProto()
    result.CopyFrom(model)
    for name, value in values.items():
        set_constant(result, name, value.astype(np.float32))
    return result


def columns_divided(
    weight: NDArray[np.float64], gain: NDArray[np.float32], groups: int
) -> NDArray[np.float64]:
    """Return a weight (O, I / groups, ...) with the column of each input channel over its gain."""
    outputs, columns = weight.shape[:2]
    inverse = (1.0 / gain.astype(np.float64)).reshape(groups, columns)
    per_row = np.repeat(inverse, outputs // groups, axis=0)
    return np.asarray(weight * per_row.reshape(outputs, columns, *[1] * (weight.ndim - 2)))


def _domain(
    graph: Graph, names: list[str], paired: set[str], caps: dict[str, float]
) -> Domain | None:
    made_by = [graph.producer(name) for name in names]
    producers = [node.name for node in made_by if node is not None and _is_layer(graph, node)]
    consumers = [
        node.name
        for name in names
        for node in graph.readers(name)
        if _is_layer(graph, node) and node.input[0] == name
    ]
    tensors = [name for name in names if name in paired]
    # A layer that reads its own domain would be scaled twice, in rows and in columns.
    looped = set(producers) & set(consumers)
    if not (producers and consumers and tensors) or looped or None in made_by:
        return None
    cap = min((caps[name] for name in names if name in caps), default=float("inf"))
    once = tuple(dict.fromkeys(consumers))
    return Domain(tuple(tensors), frozenset(names), tuple(producers), once, cap)


def _is_layer(graph: Graph, node: onnx.NodeProto) -> bool:
    if node.op_type not in ("Conv", "Gemm") or len(node.input) < 3:
        return False
    rows = node.op_type == "Conv" or bool(attribute(node, "transB", 0))
    return rows and all(graph.constant(name) is not None for name in node.input[1:3])


def _joined(graph: Graph, node: onnx.NodeProto) -> list[str]:
    """Return the tensors of a node that a gain per channel passes through; [] where none can."""
    source, result = node.input[0], node.output[0]
    if node.op_type in _CARRIES_GAIN:
        return [source, result]
    if node.op_type == "Flatten":
        shape = graph.shape(source) or ()
        return [source, result] if len(shape) == 4 and tuple(shape[2:]) == (1, 1) else []
    if node.op_type == "Add":
        computed = all(graph.constant(name) is None for name in node.input)
        same = graph.shape(node.input[0]) == graph.shape(node.input[1])
        return [*node.input, result] if computed and same else []
    return []


def _clip_cap(graph: Graph, node: onnx.NodeProto) -> float | None:
    """Return the upper bound of Clip(0, h); None for any other node."""
    if node.op_type != "Clip" or len(node.input) != 3:
        return None
    low, high = (graph.constant(name) for name in node.input[1:])
    if low is None or high is None or float(low) != 0.0 or float(high) <= 0.0:
        return None
    return float(high)
