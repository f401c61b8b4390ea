"""Pixel codes: the picture is quantized on its own 256 levels, so it loses nothing.

A picture has 8 bits when it comes from the camera, and the normalised network input is no more than
those, moved and scaled per channel. Rounded again to a symmetric grid over all channels, it loses
half a level everywhere: 15 % of the error that INT8 leaves in MobileNetV2's logits, more than any
other tensor. Here each channel is led back to its levels, x f + o with f = std / scale and
o = mean / scale, less 128 for signed codes, and divided by g, the mean of all f, so that weights
keep their size (in FP16, scales as small as W / f would lose bits). QuantizeLinear has the scale
1 / g. The convolution behind it takes the weights W g / f, and its bias what the offset adds:
the same function of x.

A padded convolution must pad with what zero becomes, which differs between channels: its zeros are
padded before the scaling, and the convolution becomes valid; they lie within half a level of what
is read. At run time this costs a Mul (none where all f are equal), an Add and that Pad, which
TensorRT-RTX fuses with the QuantizeLinear.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import helper, shape_inference

from calibration.graph import Graph
from calibration.nodes import (
    add_constant,
    attribute,
    drop_attributes,
    set_constant,
    set_nodes,
    unused_name,
)
from calibration.placement import Placement
from calibration.rewrites import remove_dead, sort_nodes
from calibration.table import Range
from calibration.window import window_in

__all__ = [
    "PIXELS",
    "PIXEL_NOTE",
    "Coded",
    "Levels",
    "picture_levels",
    "with_pixel_codes",
    "without_pixel_codes",
]

PIXELS = "pixels"
"""The method of a range that is that of pixel codes, -128 to 127, which no picture leaves."""
PIXEL_NOTE = "the picture is quantized on its own 256 levels: no pixel loses anything"
_MIDDLE = 128.0


@dataclass(frozen=True)
class Levels:
    """Where the levels of the picture lie in the network input x: level = x factor + offset.

    One value per channel: std / scale and mean / scale of the normalisation.
    """

    factor: tuple[float, ...]
    offset: tuple[float, ...]


@dataclass(frozen=True)
class Coded:
    """A model that makes codes of its picture, the `tensor` that holds them, and its range."""

    model: onnx.ModelProto
    tensor: str
    span: Range


def with_pixel_codes(model: onnx.ModelProto, placement: Placement, levels: Levels) -> Coded | None:
    """Return the same function with the picture on its levels.

    None where something else than INT8 convolutions of all channels reads the picture, where they
    pad it differently, or with a zero that is no level.
    """
    graph = Graph(model)
    layers = _readers(graph, placement, len(levels.factor))
    if not layers:
        return None
    border, *others = {_border(graph, node) for node in layers}
    black = all(0.0 <= level <= 255.0 for level in levels.offset)
    if others or (any(border) and not black):
        return None
    factor = np.asarray(levels.factor, np.float64)
    unit = float(np.abs(factor).mean())
    factor = factor / unit
    offset = (np.asarray(levels.offset, np.float64) - _MIDDLE) / unit
    result = onnx.ModelProto()
    result.CopyFrom(model)
    codes = _lead_back(result.graph, graph.inputs[0], border, factor, offset)
    nodes = {node.name: node for node in result.graph.node}
    for layer in layers:
        weight = np.asarray(graph.constant(layer.input[1]), np.float64)
        bias = np.asarray(graph.constant(layer.input[2]), np.float64)
        weight = weight / factor.reshape(1, -1, 1, 1)
        bias = bias - weight.sum(axis=(2, 3)) @ offset
        set_constant(result, layer.input[1], weight.astype(np.float32))
        set_constant(result, layer.input[2], bias.astype(np.float32))
        nodes[layer.name].input[0] = codes
        drop_attributes(nodes[layer.name], "pads", "auto_pad")
    sort_nodes(result.graph)
    result = shape_inference.infer_shapes(result, strict_mode=True, data_prop=True)
    return Coded(result, codes, Range(-127.0 / unit, 127.0 / unit, PIXELS))


def picture_levels(graph: Graph, tensor: str) -> tuple[NDArray[np.float64], ...] | None:
    """Return factor and offset per channel where `tensor` is the picture times and plus them.

    A Pad of the picture may come first, and factors of 1 may be left out.
    """
    found: list[NDArray[np.float64]] = []
    for kind in ("Add", "Mul"):
        node = graph.producer(tensor)
        values = graph.constant(node.input[1]) if node and node.op_type == kind else None
        if node is None or values is None or values.ndim != 4 or values.shape[1] != values.size:
            break
        found.append(np.asarray(values, np.float64).reshape(-1))
        tensor = node.input[0]
    before = graph.producer(tensor)
    if before is not None and before.op_type == "Pad":
        tensor = before.input[0]
    if not found or tensor not in graph.inputs:
        return None
    return (found[1] if len(found) > 1 else np.ones_like(found[0])), found[0]


def without_pixel_codes(model: onnx.ModelProto) -> onnx.ModelProto:
    """Return the same float function whose convolutions read the picture itself again.

    A graph that `with_pixel_codes` has not made comes back as it is.
    """
    graph = Graph(model)
    result = onnx.ModelProto()
    result.CopyFrom(model)
    nodes = {node.name: node for node in result.graph.node}
    for layer in graph.nodes:
        weight = graph.constant(layer.input[1]) if layer.op_type == "Conv" else None
        levels = picture_levels(graph, layer.input[0]) if weight is not None else None
        if weight is None or levels is None or len(layer.input) < 3:
            continue
        bias = graph.constant(layer.input[2])
        if bias is None or weight.ndim != 4 or weight.shape[1] != levels[0].size:
            continue
        bias = bias + weight.astype(np.float64).sum(axis=(2, 3)) @ levels[1]
        restored = weight * levels[0].reshape(1, -1, 1, 1)
        set_constant(result, layer.input[1], restored.astype(np.float32))
        set_constant(result, layer.input[2], bias.astype(np.float32))
        _read_picture(graph, layer, nodes[layer.name])
    remove_dead(result.graph)
    return result


def _read_picture(graph: Graph, layer: onnx.NodeProto, node: onnx.NodeProto) -> None:
    source = layer.input[0]
    while (before := graph.producer(source)) is not None:
        if before.op_type == "Pad":
            pads = np.asarray(graph.constant(before.input[1])).reshape(2, 4)[:, 2:]
            node.attribute.append(helper.make_attribute("pads", pads.reshape(-1).tolist()))
        source = before.input[0]
    node.input[0] = source


def _readers(graph: Graph, placement: Placement, channels: int) -> list[onnx.NodeProto]:
    """Return the INT8 convolutions that read the picture, or none where another node does too."""
    if len(graph.inputs) != 1 or graph.inputs[0] in graph.outputs:
        return []
    layers = [graph.node(use.node) for use in graph.uses(graph.inputs[0]) if use.index == 0]
    if len(layers) != len(graph.uses(graph.inputs[0])):
        return []
    for node in layers:
        weight = graph.constant(node.input[1]) if node.op_type == "Conv" else None
        fits = (
            weight is not None
            and weight.ndim == 4
            and weight.shape[1] == channels
            and attribute(node, "group", 1) == 1
            and node.name in placement.int8_nodes
            and len(node.input) > 2
            and graph.constant(node.input[2]) is not None
            and all(len(graph.uses(name)) == 1 for name in node.input[1:])
        )
        if not fits:
            return []
    return layers


def _border(graph: Graph, node: onnx.NodeProto) -> tuple[int, ...]:
    """Return how many zeros a convolution puts around the picture: top, left, bottom, right."""
    window = window_in(graph, node)
    return (*window.before, *window.after)


def _lead_back(
    graph: onnx.GraphProto,
    image: str,
    border: tuple[int, ...],
    factor: NDArray[np.float64],
    offset: NDArray[np.float64],
) -> str:
    """Add the nodes that make codes of the picture, and return the tensor that holds them."""
    source = image
    if any(border):
        pads = np.array([0, 0, *border[:2], 0, 0, *border[2:]], np.int64)
        source = _add(graph, "Pad", f"{image}_bordered", [image], pads)
    if (factor != 1.0).any():
        source = _add(graph, "Mul", f"{image}_scaled", [source], _per_channel(factor))
    return _add(graph, "Add", f"{image}_pixels", [source], _per_channel(offset))


def _add(
    graph: onnx.GraphProto,
    op_type: str,
    wanted: str,
    inputs: list[str],
    values: NDArray[np.float32] | NDArray[np.int64],
) -> str:
    name = unused_name(graph, wanted)
    constant = add_constant(graph, f"{name}_by", values)
    set_nodes(graph, [*graph.node, helper.make_node(op_type, [*inputs, constant], [name], name)])
    return name


def _per_channel(values: NDArray[np.float64]) -> NDArray[np.float32]:
    return values.astype(np.float32).reshape(1, -1, 1, 1)
