"""Writes the Q/DQ pairs that a placement asks for, in the form its scheme reads."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
from onnx import helper

from calibration.errors import CalibrationError
from calibration.graph import Graph
from calibration.nodes import Array, add_constant, set_nodes, unused_name
from calibration.pad_input import pad_input_channels
from calibration.placement import Pair, Placement, WeightPair
from calibration.rewrites import remove_dead, sort_nodes
from calibration.rounding import (
    Grid,
    bias_floor,
    dequantize,
    grid_of,
    quantize_bias,
    quantize_weight,
)
from calibration.schemes import Scheme
from calibration.table import CalibrationTable, Range

__all__ = ["dequantize", "grids", "insert_qdq", "quantize_weight"]


def insert_qdq(
    model: onnx.ModelProto, placement: Placement, table: CalibrationTable, scheme: Scheme
) -> onnx.ModelProto:
    """Return a copy of a prepared float model with the pairs of `placement`, scaled by `table`.

    Metadata and the names of tensors stay. Raises CalibrationError when the table lacks a range.
    """
    result = onnx.ModelProto()
    result.CopyFrom(model)
    writer = _Writer(result.graph, Graph(model), scheme)
    read_through: dict[str, Grid] = {}
    for pair, grid in zip(placement.pairs, grids(placement, table, scheme), strict=True):
        writer.activation(pair, grid)
        read_through |= {use.node: grid for use in pair.uses if use.index == 0}
    for weight in placement.weights:
        writer.weight(weight, read_through[weight.use.node])
    set_nodes(result.graph, [*result.graph.node, *writer.nodes])
    sort_nodes(result.graph)
    remove_dead(result.graph)
    if scheme.input_channels > 1:
        pad_input_channels(result, scheme.input_channels)
    return result


def grids(placement: Placement, table: CalibrationTable, scheme: Scheme) -> tuple[Grid, ...]:
    """Return the grid of each pair, in order; a group covers the union of its ranges."""
    spans: dict[str, Range] = {}
    for pair in placement.pairs:
        span = table.ranges.get(pair.tensor)
        if span is None:
            raise CalibrationError(
                f"The calibration table has no range for tensor {pair.tensor!r}; it was made for "
                "another model or scheme.",
                next_command="edgekit calibrate MODEL.onnx --images DIR",
            )
        other = spans.get(pair.group, span)
        low, high = min(span.low, other.low), max(span.high, other.high)
        spans[pair.group] = Range(low, high, span.method)
    return tuple(grid_of(spans[pair.group], scheme.activations) for pair in placement.pairs)


class _Writer:
    """Redirects inputs in place; the new nodes wait in `nodes` to be sorted in."""

    def __init__(self, graph: onnx.GraphProto, view: Graph, scheme: Scheme) -> None:
        self.nodes: list[onnx.NodeProto] = []
        self._graph = graph
        self._view = view
        self._scheme = scheme
        self._by_name = {node.name: node for node in graph.node}

    def activation(self, pair: Pair, grid: Grid) -> None:
        scale = add_constant(self._graph, f"{pair.tensor}_scale", np.asarray(grid.scale))
        zero = np.asarray(grid.zero_point, grid.dtype)
        zero_point = add_constant(self._graph, f"{pair.tensor}_zero_point", zero)
        if pair.tensor in self._view.outputs:
            self._quantized_output(pair.tensor, scale, zero_point)
            return
        values = self._pair(pair.tensor, scale, zero_point, axis=None)
        for use in pair.uses:
            self._by_name[use.node].input[use.index] = values

    def _quantized_output(self, name: str, scale: str, zero_point: str) -> None:
        """Let the graph output keep its name and hold what the DequantizeLinear gives."""
        before = unused_name(self._graph, f"{name}_unquantized")
        for node in self._graph.node:
            node.output[:] = [before if output == name else output for output in node.output]
        integers = unused_name(self._graph, f"{name}_QuantizeLinear_Output")
        self._node("QuantizeLinear", name, [before, scale, zero_point], integers, None)
        self._node("DequantizeLinear", name, [integers, scale, zero_point], name, None)

    def weight(self, weight: WeightPair, read_through: Grid) -> None:
        node, name = self._by_name[weight.use.node], weight.initializer
        values = self._constant(name)
        bias = self._constant(node.input[2]) if self._scheme.bias_as == "int32" else None
        floor = 0.0 if bias is None else bias_floor(bias, read_through.scale)
        integers, scales = quantize_weight(
            values, weight.axis, self._scheme.weight_bits, floor=floor
        )
        scale = add_constant(self._graph, f"{name}_scale", scales)
        zero_point = add_constant(self._graph, f"{name}_zero_point", np.zeros_like(scales, np.int8))
        if self._scheme.weights_as == "float":
            node.input[1] = self._pair(name, scale, zero_point, axis=weight.axis)
        else:
            stored = add_constant(self._graph, f"{name}_quantized", integers)
            node.input[1] = self._dequantize(name, stored, scale, zero_point, axis=weight.axis)
        if bias is not None:
            node.input[2] = self._bias(node.input[2], bias, read_through, scales)

    def _bias(self, name: str, bias: Array, read_through: Grid, weight_scale: Array) -> str:
        integers, scales = quantize_bias(bias, read_through.scale, weight_scale)
        stored = add_constant(self._graph, f"{name}_quantized", integers)
        scale = add_constant(self._graph, f"{name}_scale", scales)
        zero = add_constant(self._graph, f"{name}_zero_point", np.zeros_like(scales, np.int32))
        return self._dequantize(name, stored, scale, zero, axis=0)

    def _pair(self, name: str, scale: str, zero_point: str, *, axis: int | None) -> str:
        integers = unused_name(self._graph, f"{name}_QuantizeLinear_Output")
        self._node("QuantizeLinear", name, [name, scale, zero_point], integers, axis)
        return self._dequantize(name, integers, scale, zero_point, axis=axis)

    def _dequantize(
        self, name: str, integers: str, scale: str, zero_point: str, *, axis: int | None
    ) -> str:
        values = unused_name(self._graph, f"{name}_DequantizeLinear_Output")
        self._node("DequantizeLinear", name, [integers, scale, zero_point], values, axis)
        return values

    def _node(
        self, op_type: str, name: str, inputs: list[str], output: str, axis: int | None
    ) -> None:
        extra: dict[str, Any] = {} if axis is None else {"axis": axis}
        self.nodes.append(helper.make_node(op_type, inputs, [output], f"{name}_{op_type}", **extra))

    def _constant(self, name: str) -> Array:
        values = self._view.constant(name)
        if values is None:
            raise CalibrationError(
                f"{name!r} is not a constant of this model; the placement was made for another.",
                next_command="edgekit calibrate MODEL.onnx --images DIR",
            )
        return values
