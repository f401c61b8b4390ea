"""Errors of the layers and tensors of a Q/DQ graph on images: each alone, and all in a row."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from calibration.execute import RUN_SIZE, Runner, batch_limit, in_turn, up_to
from calibration.faults.expected import ExpectedLayer
from calibration.graph import Graph
from calibration.histogram import Histogram
from calibration.rounding import Grid
from calibration.sqnr import decibels

__all__ = ["Agreement", "accumulated_errors", "local_errors", "tensor_sqnr_db"]

_Tick = Callable[[int], None]
_SUMS = ("power", "error", "other", "product", "count")


@dataclass(frozen=True)
class Agreement:
    """How values agree with their reference; `power` is the reference's mean square."""

    sqnr_db: float
    cosine: float
    power: float


def tensor_sqnr_db(histogram: Histogram, grid: Grid, *, low: float | None = None) -> float:
    """Return the SQNR of the counted values after `grid`, each bin standing for its centre.

    `low`: values below it count as `low`, where the quantizer replaces a Relu.
    """
    filled = np.flatnonzero(histogram.counts)
    centres = histogram.edges[filled] + histogram.width / 2
    values = centres.clip(histogram.low, histogram.high).astype(np.float32)
    values = values if low is None else np.maximum(values, np.float32(low))
    counts = histogram.counts[filled].astype(np.float64)
    errors = np.square(grid.round(values).astype(np.float64) - values)
    # Zero, the commonest value, is exact on every grid; the centre of its bin is not zero.
    errors = np.where(np.abs(values) <= histogram.width, 0.0, errors)
    power = np.square(values.astype(np.float64))
    return decibels(float((power * counts).sum()), float((errors * counts).sum()))


def local_errors(
    skeleton: onnx.ModelProto,
    layers: Sequence[ExpectedLayer],
    grids: Mapping[str, Grid | None],
    images: NDArray[np.float32],
    *,
    tick: _Tick,
) -> dict[str, Agreement]:
    """Return how each layer answers in INT8 when everything before it is float.

    A layer reads the float values of the prepared `skeleton`, through its own pair where it has
    one (`grids`), and is compared with the reference's weights and bias on the same values.
    """
    graph = Graph(skeleton)
    work = onnx.ModelProto()
    work.CopyFrom(skeleton)
    del work.graph.output[:]
    for index, layer in enumerate(layers):
        _add_probe(work, graph.node(layer.other), index, layer, grids.get(layer.other))
    names = [value.name for value in work.graph.output]
    totals = dict.fromkeys(names, 0.0)
    runner, size = Runner(work), batch_limit(graph, RUN_SIZE)

    starts = range(0, len(images), size)
    batches = (images[start : start + size] for start in starts)
    probed = runner.run_each(graph.inputs[0], batches, names)
    for start, values in zip(starts, probed, strict=True):
        for name in names:
            totals[name] += float(values[name])
        tick(min(start + size, len(images)))
    return {
        layer.other: _agreement([totals[f"probe_{i}_{kind}"] for kind in _SUMS])
        for i, layer in enumerate(layers)
    }


def accumulated_errors(
    reference: onnx.ModelProto,
    quantized: onnx.ModelProto,
    layers: Sequence[ExpectedLayer],
    images: NDArray[np.float32],
    *,
    tick: _Tick,
) -> dict[str, Agreement]:
    """Return how each layer's output agrees with the reference's when all before it is INT8."""
    first, second = Graph(reference), Graph(quantized)
    wanted = [first.node(layer.reference).output[0] for layer in layers]
    given = [second.node(layer.other).output[0] for layer in layers]
    runners = Runner(up_to(reference, wanted)), Runner(up_to(quantized, given))
    size = min(batch_limit(first, RUN_SIZE), batch_limit(second, RUN_SIZE))

    def sums(start: int) -> NDArray[np.float64]:
        part = images[start : start + size]
        one = runners[0].run({first.inputs[0]: part}, wanted)
        other = runners[1].run({second.inputs[0]: part}, given)
        found = np.zeros((len(layers), 5))  # also where there is no layer
        for row, layer in enumerate(layers):
            found[row] = _sums(one[wanted[row]], other[given[row]], layer)
        return found

    totals = np.zeros((len(layers), 5))
    starts = range(0, len(images), size)
    for start, found in zip(starts, in_turn(sums, starts), strict=True):
        totals += found
        tick(min(start + size, len(images)))
    return {layer.other: _agreement(totals[i]) for i, layer in enumerate(layers)}


def _sums(
    wanted: NDArray[np.float32], given: NDArray[np.float32], layer: ExpectedLayer
) -> NDArray[np.float64]:
    axis = 1 if wanted.ndim == 4 else wanted.ndim - 1
    shape = [-1 if i == axis else 1 for i in range(wanted.ndim)]
    scaled = (wanted * layer.gain.reshape(shape)).reshape(-1)
    shifted = (given + np.float32(layer.shift)).reshape(-1)
    difference = shifted - scaled
    pairs = ((scaled, scaled), (difference, difference), (shifted, shifted), (scaled, shifted))
    return np.array([*(float(np.dot(a, b)) for a, b in pairs), scaled.size])


def _agreement(sums: Sequence[float] | NDArray[np.float64]) -> Agreement:
    power, error, other, product, count = map(float, sums)
    length = math.sqrt(power * other)
    cosine = product / length if length > 0.0 else (1.0 if power == other else 0.0)
    return Agreement(decibels(power, error), max(-1.0, min(1.0, cosine)), power / max(count, 1.0))


def _add_probe(
    work: onnx.ModelProto,
    node: onnx.NodeProto,
    index: int,
    layer: ExpectedLayer,
    grid: Grid | None,
) -> None:
    """Add the layer with the reference's weights, and as the file has it, and what they differ."""
    graph, prefix, source = work.graph, f"probe_{index}", node.input[0]
    rounded = source
    if grid is not None:
        scale = _constant(graph, f"{prefix}_scale", np.asarray(grid.scale))
        zero = _constant(graph, f"{prefix}_zero", np.asarray(grid.zero_point, grid.dtype))
        integers = _node(graph, "QuantizeLinear", [source, scale, zero], f"{prefix}_integers")
        rounded = _node(graph, "DequantizeLinear", [integers, scale, zero], f"{prefix}_rounded")
    ends = []
    for kind, read, weight, bias in (
        ("wanted", source, layer.weight, layer.bias_with(layer.weight)),
        ("given", rounded, layer.found_weight, layer.found_bias),
    ):
        copy = onnx.NodeProto()
        copy.CopyFrom(node)
        rows = node.op_type == "Conv" or len(node.input) > 2
        stored = weight if rows else np.swapaxes(weight, -1, -2)
        copy.name = copy.output[0] = f"{prefix}_{kind}"
        copy.input[:] = [read, _constant(graph, f"{prefix}_{kind}_weight", stored)]
        if len(node.input) > 2:
            copy.input.append(_constant(graph, f"{prefix}_{kind}_bias", bias))
        graph.node.append(copy)
        shift = _constant(graph, f"{prefix}_{kind}_shift", np.float32(layer.shift))
        ends.append(_node(graph, "Add", [copy.output[0], shift], f"{prefix}_{kind}_true"))
    difference = _node(graph, "Sub", ends, f"{prefix}_difference")
    squares = {"power": [ends[0]] * 2, "error": [difference] * 2, "other": [ends[1]] * 2}
    for kind, factors in {**squares, "product": ends}.items():
        product = _node(graph, "Mul", factors, f"{prefix}_{kind}_each")
        made = helper.make_node("ReduceSum", [product], [f"{prefix}_{kind}"], keepdims=0)
        graph.node.append(made)
        graph.output.append(
            helper.make_tensor_value_info(f"{prefix}_{kind}", TensorProto.FLOAT, [])
        )
    size = _node(graph, "Size", [ends[0]], f"{prefix}_size")
    made = helper.make_node("Cast", [size], [f"{prefix}_count"], to=TensorProto.FLOAT)
    graph.node.append(made)
    graph.output.append(helper.make_tensor_value_info(f"{prefix}_count", TensorProto.FLOAT, []))


def _constant(graph: onnx.GraphProto, name: str, values: NDArray[np.generic] | np.generic) -> str:
    graph.initializer.append(numpy_helper.from_array(np.asarray(values, order="C"), name))
    return name


def _node(graph: onnx.GraphProto, kind: str, inputs: Sequence[str], output: str) -> str:
    graph.node.append(helper.make_node(kind, list(inputs), [output], output))
    return output
