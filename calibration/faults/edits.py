"""One repair at a time on a copy of a Q/DQ graph, to measure what it would gain."""

from __future__ import annotations

import numpy as np
import onnx
from numpy.typing import NDArray

from calibration.errors import CalibrationError
from calibration.faults.stored import StoredPair
from calibration.nodes import add_constant, attribute
from calibration.rewrites import remove_dead
from calibration.rounding import Grid, grid_of
from calibration.table import Range

__all__ = ["grid_for", "with_bias", "with_layer_in_float", "with_range", "with_weight"]


def grid_for(pair: StoredPair, span: Range) -> Grid:
    """Return the grid of `span` in the form (type, symmetry) that `pair` has."""
    if pair.symmetric:
        return grid_of(span, "int8")
    grid = grid_of(span, "uint8")
    if pair.grid.dtype is np.uint8:
        return grid
    return Grid(grid.scale, grid.zero_point - 128, np.int8)


def with_range(model: onnx.ModelProto, pair: StoredPair, span: Range) -> onnx.ModelProto:
    """Return a copy in which every Q and DQ of the pair's tensor covers `span`."""
    work, grid = _copy(model), grid_for(pair, span)
    scale = add_constant(work.graph, f"{pair.tensor}_new_scale", np.asarray(grid.scale))
    zero = np.asarray(grid.zero_point, grid.dtype)
    zero_point = add_constant(work.graph, f"{pair.tensor}_new_zero_point", zero)
    integers = set()
    for node in work.graph.node:
        if node.op_type == "QuantizeLinear" and node.input[0] == pair.tensor:
            node.input[:] = [node.input[0], scale, zero_point]
            integers.add(node.output[0])
    for node in work.graph.node:  # a Pad of integers may stand between Q and DQ
        if node.op_type == "Pad" and node.input[0] in integers:
            node.input[:] = [*node.input[:2], zero_point]
            integers.add(node.output[0])
    for node in work.graph.node:
        if node.op_type == "DequantizeLinear" and node.input[0] in integers:
            node.input[:] = [node.input[0], scale, zero_point]
    return work


def with_bias(model: onnx.ModelProto, layer: str, bias: NDArray[np.float32]) -> onnx.ModelProto:
    """Return a copy in which `layer` adds `bias`, in float."""
    work = _copy(model)
    node = _node(work, layer)
    name = add_constant(work.graph, f"{layer}_new_bias", bias)
    node.input[:] = [node.input[0], node.input[1], name]
    remove_dead(work.graph)
    return work


def with_weight(model: onnx.ModelProto, layer: str, weight: NDArray[np.float32]) -> onnx.ModelProto:
    """Return a copy in which `layer` multiplies with `weight` (one output channel per row)."""
    work = _copy(model)
    node = _node(work, layer)
    rows = node.op_type == "Conv" or (node.op_type == "Gemm" and attribute(node, "transB", 0))
    values = weight if rows else np.swapaxes(weight, -1, -2)
    stored = _channels_read(work, node, values)
    node.input[1] = add_constant(work.graph, f"{layer}_new_weight", stored)
    remove_dead(work.graph)
    return work


def with_layer_in_float(
    model: onnx.ModelProto,
    layer: str,
    weight: NDArray[np.float32],
    bias: NDArray[np.float32],
) -> onnx.ModelProto:
    """Return a copy in which `layer` runs in float: its input unrounded, its weights given."""
    work = with_bias(with_weight(model, layer, weight), layer, bias)
    node = _node(work, layer)
    made_by = {name: maker for maker in work.graph.node for name in maker.output}
    dequantize = made_by.get(node.input[0])
    if dequantize is not None and dequantize.op_type == "DequantizeLinear":
        quantize = made_by.get(dequantize.input[0])
        if quantize is not None and quantize.op_type == "QuantizeLinear":
            node.input[0] = quantize.input[0]
    remove_dead(work.graph)
    return work


def _channels_read(
    model: onnx.ModelProto, node: onnx.NodeProto, weight: NDArray[np.float32]
) -> NDArray[np.float32]:
    """Widen a weight with zeros where the file pads the channels of the image (`pad_input`)."""
    made_by = {name: maker for maker in model.graph.node for name in maker.output}
    dequantize = made_by.get(node.input[0])
    pad = made_by.get(dequantize.input[0]) if dequantize is not None else None
    if node.op_type != "Conv" or pad is None or pad.op_type != "Pad":
        return weight
    values = {tensor.name: tensor for tensor in model.graph.initializer}
    amounts = onnx.numpy_helper.to_array(values[pad.input[1]])
    extra = int(amounts[5]) if amounts.size == 8 else 0
    wider = [(0, 0), (0, extra), *[(0, 0)] * (weight.ndim - 2)]
    return np.pad(weight, wider).astype(np.float32)


def _copy(model: onnx.ModelProto) -> onnx.ModelProto:
    work = onnx.ModelProto()
    work.CopyFrom(model)
    return work


def _node(model: onnx.ModelProto, name: str) -> onnx.NodeProto:
    found: onnx.NodeProto | None = next((n for n in model.graph.node if n.name == name), None)
    if found is None:
        raise CalibrationError(
            f"The graph has no node named {name!r}.", next_command="edgekit inspect MODEL.onnx"
        )
    return found
