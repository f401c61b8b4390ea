"""The float graph inside a Q/DQ graph, and the ranges its pairs cover: to calibrate it anew."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import onnx
from onnx import helper

from calibration.errors import CalibrationError
from calibration.nodes import (
    Array,
    add_constant,
    attribute,
    constants,
    readers,
    replace_uses,
    set_constant,
    set_nodes,
    unused_name,
)
from calibration.rewrites import constants_to_initializers, name_nodes, remove_dead, sort_nodes
from calibration.table import Range

__all__ = ["float_skeleton", "qdq_ranges"]

_LINEAR = frozenset({"Conv", "Gemm", "MatMul", "Add", "Sub", "Mul", "BatchNormalization"})
"""What makes negative values, so that a range from zero up cuts them."""
_NEAR = 1e-3


@dataclass(frozen=True)
class _Cut:
    """A quantizer whose range starts at zero: a Relu, or Clip(0, high), that it took over."""

    tensor: str
    high: float


def qdq_ranges(model: onnx.ModelProto) -> dict[str, Range]:
    """Return the range that each QuantizeLinear of a computed tensor covers, by that tensor."""
    work = _copy(model)
    values = constants(work.graph)
    found: dict[str, Range] = {}
    for node in work.graph.node:
        if node.op_type == "QuantizeLinear" and node.input[0] not in values:
            found[node.input[0]] = _range_of(node, values)
    return found


def float_skeleton(model: onnx.ModelProto) -> onnx.ModelProto:
    """Return a Q/DQ model without its pairs: float weights, no rounding of activations.

    Integer weights come back as the values they stand for; what rounding lost is lost. Quantizers
    often replace Relu and Relu6 by a range that starts at zero: behind a Conv, Gemm, MatMul or
    Add such a range becomes a Relu again, or Clip(0, 6) where the ranges of the file end at 6.
    """
    work = _copy(model)
    graph = work.graph
    _restore_constants(graph)
    _unpad_channels(work)
    cuts = _cuts(graph)
    six = [cut for cut in cuts if abs(cut.high - 6.0) < 6.0 * _NEAR]
    relu6 = len(six) > 1 and all(cut.high < 6.0 * (1 + _NEAR) for cut in cuts)
    _remove_pairs(graph)
    for cut in cuts:
        _restore_activation(graph, cut.tensor, relu6=relu6)
    sort_nodes(graph)
    remove_dead(graph)
    del graph.value_info[:]
    return work


def _copy(model: onnx.ModelProto) -> onnx.ModelProto:
    work = onnx.ModelProto()
    work.CopyFrom(model)
    constants_to_initializers(work.graph)
    name_nodes(work.graph)
    return work


def _zero_point(node: onnx.NodeProto, values: dict[str, Array]) -> Array:
    has_one = len(node.input) > 2 and node.input[2]
    return values[node.input[2]] if has_one else np.zeros((), np.uint8)


def _range_of(node: onnx.NodeProto, values: dict[str, Array]) -> Range:
    scale, zero_point = values.get(node.input[1]), _zero_point(node, values)
    if scale is None or scale.size != 1:
        raise CalibrationError(
            f"{node.name!r} has no single constant scale.",
            next_command="edgekit inspect MODEL.onnx",
        )
    info = np.iinfo(zero_point.dtype)
    low, high = (float((end - int(zero_point)) * scale) for end in (info.min, info.max))
    if zero_point.dtype == np.int8 and int(zero_point) == 0:
        low = -high  # symmetric: amax is at 127
    return Range(low, high, "file")


def _restore_constants(graph: onnx.GraphProto) -> None:
    """Replace DQ of integers, and DQ of Q of floats, by float initializers."""
    values = constants(graph)
    for node in graph.node:
        if node.op_type == "QuantizeLinear" and node.input[0] in values:
            _replace_reader(graph, node.output[0], node.input[0])
    for node in graph.node:
        if node.op_type == "DequantizeLinear" and node.input[0] in values:
            integers = values[node.input[0]].astype(np.float64)
            scale, zero_point = values[node.input[1]], _zero_point(node, values)
            axis = attribute(node, "axis", 1)
            shape = [-1 if i == axis else 1 for i in range(integers.ndim)]
            if scale.size > 1:
                scale, zero_point = scale.reshape(shape), zero_point.reshape(-1)
                zero_point = zero_point.reshape(shape) if zero_point.size > 1 else zero_point
            floats = ((integers - zero_point) * scale).astype(np.float32)
            replace_uses(graph, node.output[0], add_constant(graph, f"{node.output[0]}_f", floats))


def _unpad_channels(model: onnx.ModelProto) -> None:
    """Take back the zeros that `pad_input` gave the weights behind a padded image."""
    values, reading = constants(model.graph), readers(model.graph)
    integers = {node.output[0] for node in model.graph.node if node.op_type == "QuantizeLinear"}
    for pad in model.graph.node:
        if pad.op_type != "Pad" or pad.input[0] not in integers:
            continue  # the Pad of a recentred activation stands in front of its quantizer
        extra = int(values[pad.input[1]][5])
        for dequantize in reading[pad.output[0]]:
            for conv in reading[dequantize.output[0]]:
                weight = values[conv.input[1]]
                set_constant(model, conv.input[1], weight[:, : weight.shape[1] - extra])


def _replace_reader(graph: onnx.GraphProto, integers: str, floats: str) -> None:
    for node in graph.node:
        if node.op_type == "DequantizeLinear" and node.input[0] == integers:
            replace_uses(graph, node.output[0], floats)


def _cuts(graph: onnx.GraphProto) -> list[_Cut]:
    values = constants(graph)
    made_by = {name: node for node in graph.node for name in node.output}
    found = []
    for node in graph.node:
        source = made_by.get(node.input[0]) if node.op_type == "QuantizeLinear" else None
        if source is not None and source.op_type in _LINEAR:
            span = _range_of(node, values)
            if span.low == 0.0:
                found.append(_Cut(node.input[0], span.high))
    return found


def _remove_pairs(graph: onnx.GraphProto) -> None:
    made_by = {name: node for node in graph.node for name in node.output}
    outputs = {value.name for value in graph.output}
    kept: list[onnx.NodeProto] = []
    pairs = []
    for node in graph.node:
        before = made_by.get(node.input[0])
        if node.op_type == "Pad" and before is not None and before.op_type == "QuantizeLinear":
            continue
        if node.op_type == "DequantizeLinear" and before is not None:
            pairs.append((node, _float_source(node, made_by)))
        elif node.op_type not in ("QuantizeLinear", "DequantizeLinear"):
            kept.append(node)
    for node, source in pairs:
        replace_uses(graph, node.output[0], source)
        if node.output[0] in outputs:
            kept.append(helper.make_node("Identity", [source], [node.output[0]], node.name))
    set_nodes(graph, kept)


def _float_source(node: onnx.NodeProto, made_by: dict[str, onnx.NodeProto]) -> str:
    """Return the tensor that the integers under a DequantizeLinear were rounded from."""
    source = made_by[node.input[0]]
    if source.op_type == "Pad":
        source = made_by[source.input[0]]
    if source.op_type != "QuantizeLinear":
        raise CalibrationError(
            f"{source.name!r} ({source.op_type}) computes on integers; only pairs of "
            "QuantizeLinear and DequantizeLinear can be taken out.",
            next_command="edgekit import SOURCE --out model.onnx",
        )
    return str(source.input[0])


def _restore_activation(graph: onnx.GraphProto, tensor: str, *, relu6: bool) -> None:
    result = unused_name(graph, f"{tensor}_cut")
    replace_uses(graph, tensor, result)
    if relu6:
        bounds = [
            add_constant(graph, f"{tensor}_{end}", np.asarray(value, np.float32))
            for end, value in (("low", 0.0), ("high", 6.0))
        ]
        graph.node.append(helper.make_node("Clip", [tensor, *bounds], [result], f"{tensor}_Clip"))
    else:
        graph.node.append(helper.make_node("Relu", [tensor], [result], f"{tensor}_Relu"))
