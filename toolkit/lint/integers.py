"""Which tensors still hold the integers of a DequantizeLinear, so that a layer can read those.

A runtime multiplies integers only if it can move the dequantization behind the layer. Operators
that only move or compare values let it: MaxPool, Reshape, Transpose, Concat of equal scales. One
that computes new values does not. Each operator below was checked in the layer table of
TensorRT-RTX 1.7.1 (tests/contracts/test_lint_rtx.py); TensorRT's documents list the same kind
("commuting with Q/DQ") without naming every operator.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import onnx
from onnx import TensorProto

from calibration.graph import Graph
from calibration.nodes import attribute

__all__ = ["LOST", "Integers", "constant_tensors", "follow_integers", "scalar_constant"]

LOST = -1
"""The axis of scales that no longer lie along one axis of the tensor."""

_MOVES = frozenset(
    {
        *("Identity", "Dropout", "Reshape", "Flatten", "Squeeze", "Unsqueeze", "Transpose"),
        *("Slice", "Split", "Gather", "Expand", "Tile", "DepthToSpace", "SpaceToDepth"),
        *("MaxPool", "GlobalMaxPool", "ReduceMax", "Abs", "Neg"),
    }
)
_KEEP_AXIS = frozenset({"Identity", "Dropout", "Slice"})


@dataclass(frozen=True)
class Integers:
    """The integers behind a tensor: `dequantize` gives their scale.

    `axis` is where the tensor has one scale per entry, None for one scale, LOST where the axis is
    gone. `constant`: they are weights. `cast`: a Cast lies in between, and only one may.
    """

    dequantize: onnx.NodeProto
    axis: int | None
    constant: bool
    cast: bool = False


def constant_tensors(graph: Graph) -> frozenset[str]:
    """Return the initializers and every tensor computed from them alone."""
    found = {tensor.name for tensor in graph.model.graph.initializer} | {""}
    for node in graph.nodes:
        if node.input and all(name in found for name in node.input):
            found.update(node.output)
    return frozenset(found - {""})


def follow_integers(graph: Graph, constants: frozenset[str]) -> dict[str, Integers]:
    """Return what each tensor still holds; tensors with new values are not in it."""
    found: dict[str, Integers] = {}
    for node in graph.nodes:
        held = _held(graph, node, found, constants)
        if held is not None:
            found |= {name: held for name in node.output if name}
    return found


def scalar_constant(graph: Graph, name: str) -> float | None:
    """Return the value of a constant with one element; None for anything else."""
    values = graph.constant(name)
    return None if values is None or values.size != 1 else float(values.reshape(-1)[0])


def _held(
    graph: Graph, node: onnx.NodeProto, found: dict[str, Integers], constants: frozenset[str]
) -> Integers | None:
    if node.op_type == "DequantizeLinear":
        return Integers(node, _axis(graph, node), node.input[0] in constants)
    before = found.get(node.input[0]) if node.input else None
    if node.op_type == "Mul" and before is None:
        before = found.get(node.input[1])  # a product has its constant on either side
    if before is None:
        return None
    if node.op_type == "Concat":
        return before if not before.constant and _equal_scales(graph, node, found) else None
    if node.op_type == "Pad":
        return before if _only_moves(graph, node) else None
    if node.op_type == "Cast":
        return None if before.cast or not _to_float(node) else replace(before, cast=True)
    if node.op_type in ("Mul", "Div"):
        return before if _only_rescales(graph, node, before, found) else None
    if node.op_type not in _MOVES:
        return None
    return before if before.axis is None else replace(before, axis=_moved_axis(graph, node, before))


def _axis(graph: Graph, node: onnx.NodeProto) -> int | None:
    scale, shape = graph.constant(node.input[1]), graph.shape(node.input[0])
    if scale is None or scale.size == 1:
        return None
    axis = int(attribute(node, "axis", 1))
    return axis + len(shape) if axis < 0 and shape is not None else axis


def _moved_axis(graph: Graph, node: onnx.NodeProto, before: Integers) -> int:
    axis = LOST if before.axis is None else before.axis
    if node.op_type in _KEEP_AXIS or axis == LOST:
        return axis
    shape, result = graph.shape(node.input[0]), graph.shape(node.output[0])
    if node.op_type == "Transpose" and shape is not None:
        order = list(attribute(node, "perm", list(range(len(shape)))[::-1]))
        return order.index(axis) if axis in order else LOST
    if shape and result and axis == 0 and shape[0] == result[0]:
        return 0
    return LOST


def _equal_scales(graph: Graph, node: onnx.NodeProto, found: dict[str, Integers]) -> bool:
    held = [found.get(name) for name in node.input]
    scales = [None if h is None else graph.constant(h.dequantize.input[1]) for h in held]
    first = scales[0]
    return first is not None and all(s is not None and np.array_equal(s, first) for s in scales)


def _to_float(cast: onnx.NodeProto) -> bool:
    kinds = (TensorProto.FLOAT, TensorProto.FLOAT16, TensorProto.BFLOAT16)
    return attribute(cast, "to") in kinds


def _only_rescales(
    graph: Graph, node: onnx.NodeProto, before: Integers, found: dict[str, Integers]
) -> bool:
    """Return whether the other factor is one number, or one per output channel of a weight."""
    other = next((name for name in node.input if name not in found), "")
    if scalar_constant(graph, other) is not None:
        return True
    factor, shape = graph.constant(other), graph.shape(node.output[0])
    per_row = factor is not None and factor.shape[:1] == (factor.size,)
    same_rank = factor is not None and shape is not None and factor.ndim == len(shape) > 1
    return before.constant and before.axis == 0 and per_row and same_rank


def _only_moves(graph: Graph, pad: onnx.NodeProto) -> bool:
    """Return whether a Pad repeats values or crops, and brings none of its own."""
    if attribute(pad, "mode", b"constant") != b"constant":
        return True
    pads = graph.constant(pad.input[1]) if len(pad.input) > 1 else None
    return pads is not None and bool((pads <= 0).all())
