"""Which share of a Q/DQ graph's convolution work reads INT8, whoever wrote the graph."""

from __future__ import annotations

import math

import onnx
from onnx import numpy_helper, shape_inference

__all__ = ["int8_mac_share"]

# Runtimes move a DequantizeLinear behind these.
_MOVES = ("MaxPool", "Concat", "Reshape", "Transpose", "Flatten", "Identity")


def int8_mac_share(model: onnx.ModelProto) -> float:
    """Return the share of the multiply-accumulates of all convolutions, depthwise ones included.

    A convolution counts as INT8 when both its activation and its weight come out of a
    DequantizeLinear, straight or through nodes that only choose or move values. Linear layers do
    not count.
    """
    inferred = shape_inference.infer_shapes(model, data_prop=True)
    graph = inferred.graph
    made = {name: node for node in graph.node for name in node.output}
    values = [*graph.value_info, *graph.input, *graph.output]
    shapes = {v.name: [d.dim_value for d in v.type.tensor_type.shape.dim] for v in values}
    weights = {tensor.name: list(tensor.dims) for tensor in graph.initializer}
    for node in graph.node:
        if node.op_type == "Constant" and node.attribute[0].name == "value":
            weights[node.output[0]] = list(numpy_helper.to_array(node.attribute[0].t).shape)
    total = quantized = 0
    for node in graph.node:
        if node.op_type != "Conv":
            continue
        kernel = weights.get(node.input[1]) or shapes[node.input[1]]
        # The first dimension is the batch, often symbolic (0): counted as one image.
        macs = math.prod(shapes[node.output[0]][1:]) * math.prod(kernel[1:])
        total += macs
        if all(_is_dequantized(name, made) for name in node.input[:2]):
            quantized += macs
    return quantized / total if total else 0.0


def _is_dequantized(tensor: str, made: dict[str, onnx.NodeProto]) -> bool:
    node = made.get(tensor)
    if node is None:
        return False
    if node.op_type == "DequantizeLinear":
        return True
    sources = node.input if node.op_type == "Concat" else node.input[:1]
    return node.op_type in _MOVES and all(_is_dequantized(name, made) for name in sources)
