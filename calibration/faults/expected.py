"""What the weights and bias of each quantized layer should be, in the terms of its own graph.

Calibration may have rewritten the network without changing its function: gains per channel
(`calibration.repair.equalize`), shifted activations (`calibration.repair.recentre`) and a picture
on its own levels (`calibration.repair.pixels`). All are read back from the constants of the graph,
so that what remains is a fault.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import onnx
from numpy.typing import NDArray

from calibration.faults.align import Alignment, weight_of
from calibration.graph import Graph
from calibration.nodes import attribute
from calibration.repair.pixels import picture_levels

__all__ = ["ExpectedLayer", "expected_layers"]

_Vector = NDArray[np.float64]
_CARRIES = frozenset(
    {"Relu", "LeakyRelu", "Clip", "MaxPool", "AveragePool", "GlobalAveragePool", "Pad"}
    | {"GlobalMaxPool", "Flatten", "Reshape", "Identity", "Dropout", "Squeeze", "ReduceMean"}
)
_SAME_GAIN = 0.02


@dataclass(frozen=True)
class ExpectedLayer:
    """The reference's layer in the terms of the other graph, and what that graph has instead.

    Weights have one output channel per row. The output of the layer is that of the reference times
    `gain` (rows,) less `shift`, the same in every channel.
    """

    reference: str
    other: str
    weight: NDArray[np.float32]
    bias: NDArray[np.float32]
    found_weight: NDArray[np.float32]
    found_bias: NDArray[np.float32]
    gain: NDArray[np.float32]
    shift: float
    incoming: _Vector
    """What the layer's input holds less than the reference's times its gain, per column or (1,)."""

    def bias_with(self, weight: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return the bias that goes with `weight`: the incoming shift is made good there."""
        change = weight.astype(np.float64) - self.found_weight
        return np.asarray(self.bias + _sums(change, self.incoming), np.float32)


def expected_layers(
    reference: Graph, other: Graph, alignment: Alignment
) -> tuple[ExpectedLayer, ...]:
    """Return every aligned layer with constant weights, in topological order."""
    partner = {pair.other: pair.reference for pair in alignment.pairs}
    shifted = not _has_negative_clip(reference)
    gains: dict[str, _Vector] = {}
    found = []
    for node in other.nodes:
        if node.op_type not in ("Conv", "Gemm", "MatMul"):
            _carry(node, gains)
            continue
        if node.name not in partner:
            continue
        layer = _expected(
            reference, other, reference.node(partner[node.name]), node, gains, shifted=shifted
        )
        if layer is not None:
            found.append(layer)
            gains[node.output[0]] = layer.gain.astype(np.float64)
    return tuple(found)


def _expected(
    reference: Graph,
    other: Graph,
    wanted: onnx.NodeProto,
    node: onnx.NodeProto,
    gains: Mapping[str, _Vector],
    *,
    shifted: bool,
) -> ExpectedLayer | None:
    weight, found = weight_of(reference, wanted), weight_of(other, node)
    if weight is None or found is None:
        return None
    rows = weight.shape[0]
    levels = picture_levels(other, node.input[0]) if wanted.input[0] in reference.inputs else None
    lifted = levels[0] if levels else gains.get(node.input[0])
    divided = weight.astype(np.float64) / _columns(node, weight.shape, lifted)
    gain = _row_gains(divided, found.astype(np.float64))
    scaled = divided * gain.reshape(-1, *[1] * (weight.ndim - 1))
    bias, found_bias = (_bias(g, n, rows) for g, n in ((reference, wanted), (other, node)))
    incoming = np.array([_shift_of(other, node.input[0]) if shifted else 0.0])
    if levels and levels[1].size == found.shape[1]:
        incoming = -levels[1]
    expected = gain * bias + _sums(found.astype(np.float64), incoming)
    outgoing = 0.0
    if shifted:  # of the shifts it may owe to those that read it, the one it seems to have
        owed = _owed_shifts(other, node.output[0])
        outgoing = min(owed, key=lambda c: float(np.median(np.abs(expected - c - found_bias))))
    return ExpectedLayer(
        reference=wanted.name,
        other=node.name,
        weight=scaled.astype(np.float32),
        bias=(expected - outgoing).astype(np.float32),
        found_weight=found.astype(np.float32),
        found_bias=found_bias.astype(np.float32),
        gain=gain.astype(np.float32),
        shift=outgoing,
        incoming=incoming,
    )


def _sums(weight: _Vector, incoming: _Vector) -> _Vector:
    """Return what each row gives for an input of `incoming` everywhere, per column or (1,)."""
    columns = weight.reshape(weight.shape[0], weight.shape[1], -1).sum(axis=2)
    return np.asarray((columns * incoming).sum(axis=1))


def _row_gains(wanted: _Vector, found: _Vector) -> _Vector:
    """Return the factor per row that best turns `wanted` into `found` (least squares)."""
    rows = wanted.shape[0]
    flat, other = wanted.reshape(rows, -1), found.reshape(rows, -1)
    power = np.square(flat).sum(axis=1)
    gain = np.where(power > 0.0, (flat * other).sum(axis=1) / np.maximum(power, 1e-300), 1.0)
    near = np.median(np.abs(gain - 1.0)) < _SAME_GAIN
    return np.ones(rows) if near or not np.all(gain > 0.0) else gain


def _columns(node: onnx.NodeProto, shape: tuple[int, ...], gain: _Vector | None) -> _Vector:
    """Return the gain of the input channel that each weight multiplies, to divide by."""
    one = np.ones((1,) * len(shape))
    if gain is None:
        return one
    groups = int(attribute(node, "group", 1)) if node.op_type == "Conv" else 1
    inputs = shape[1] * groups
    if inputs % gain.size:
        return one
    spread = np.repeat(gain, inputs // gain.size)  # Flatten behind a map that is not 1x1
    per_row = np.repeat(spread.reshape(groups, shape[1]), shape[0] // groups, axis=0)
    return per_row.reshape(shape[0], shape[1], *[1] * (len(shape) - 2))


def _bias(graph: Graph, node: onnx.NodeProto, rows: int) -> _Vector:
    values = graph.constant(node.input[2]) if len(node.input) > 2 and node.input[2] else None
    if values is None:
        return np.zeros(rows)
    return np.broadcast_to(np.asarray(values, np.float64).reshape(-1), rows)


def _carry(node: onnx.NodeProto, gains: dict[str, _Vector]) -> None:
    known = [gains[name] for name in node.input if name in gains]
    if not known:
        return
    if node.op_type in _CARRIES:
        gains[node.output[0]] = known[0]
    elif node.op_type == "Add" and len({gain.size for gain in known}) == 1:
        gains[node.output[0]] = np.mean(known, axis=0)
    elif node.op_type == "Concat" and len(known) == len(node.input):
        gains[node.output[0]] = np.concatenate(known)


def _clip_low(graph: Graph, node: onnx.NodeProto) -> float | None:
    if node.op_type != "Clip" or len(node.input) < 2 or not node.input[1]:
        return None
    low = graph.constant(node.input[1])
    return None if low is None else float(np.asarray(low).reshape(-1)[0])


def _has_negative_clip(graph: Graph) -> bool:
    return any((_clip_low(graph, node) or 0.0) < 0.0 for node in graph.nodes)


def _shift_of(graph: Graph, tensor: str) -> float:
    """Return the c of a recentred activation that holds x - c: the lower bound of its Clip."""
    node = graph.producer(tensor)
    while node is not None and (node.op_type in _CARRIES):
        low = _clip_low(graph, node)
        if low is not None:
            return max(-low, 0.0)
        if node.op_type == "Relu":
            return 0.0
        node = graph.producer(node.input[0])
    return 0.0


def _owed_shifts(graph: Graph, tensor: str) -> tuple[float, ...]:
    """Return what the layer that makes `tensor` may have taken off for the Clip that reads it.

    Behind an Add it is the shift of the Clip less that of the other operand; where that operand
    is a layer too, either of them may have it.
    """
    for node in graph.readers(tensor):
        low = _clip_low(graph, node)
        if low is not None and low < 0.0:
            return (-low,)
        if node.op_type == "Add":
            beyond = max(_owed_shifts(graph, node.output[0]))
            others = [name for name in node.input if name != tensor]
            rest = beyond - sum(_shift_of(graph, name) for name in others)
            alone = not any(_made_by_layer(graph, name) for name in others)
            return (rest,) if alone else (rest, 0.0)
    return (0.0,)


def _made_by_layer(graph: Graph, tensor: str) -> bool:
    node = graph.producer(tensor)
    return node is not None and node.op_type in ("Conv", "Gemm", "MatMul")
