"""One form per layer: output channels as rows, batch normalization folded, a bias of its own."""

from __future__ import annotations

from collections import Counter

import numpy as np
import onnx
from onnx import helper

from calibration.nodes import Array, add_constant, attribute, constants, readers, set_nodes

__all__ = ["fold_batch_normalization", "normalise_gemms", "normalise_means", "own_constants"]


def normalise_means(graph: onnx.GraphProto, ranks: dict[str, int]) -> None:
    """Write a mean over height and width as GlobalAveragePool, the form runtimes quantize."""
    values = constants(graph)
    nodes: list[onnx.NodeProto] = []
    for node in graph.node:
        if not (node.op_type == "ReduceMean" and ranks.get(node.input[0]) == 4):
            nodes.append(node)
            continue
        axes = attribute(node, "axes")
        if len(node.input) > 1 and node.input[1] in values:
            axes = values[node.input[1]].tolist()
        if sorted(int(axis) % 4 for axis in axes or []) != [2, 3]:
            nodes.append(node)
            continue
        source, result = node.input[0], node.output[0]
        keeps = attribute(node, "keepdims", 1)
        pooled = result if keeps else f"{result}_pooled"
        nodes.append(helper.make_node("GlobalAveragePool", [source], [pooled], node.name))
        if not keeps:
            nodes.append(helper.make_node("Flatten", [pooled], [result], axis=1))
    set_nodes(graph, nodes)


def normalise_gemms(graph: onnx.GraphProto, ranks: dict[str, int]) -> None:
    """Write Gemm, and MatMul of a matrix with a constant, as `x @ W.T + b`.

    One output channel is then one row of the weight: TensorRT-RTX quantizes rows in INT8 and
    silently leaves weights quantized along their columns in float.
    """
    values, reading = constants(graph), readers(graph)
    outputs = {value.name for value in graph.output}
    dropped: set[str] = set()
    for node in graph.node:
        if node.op_type == "Gemm":
            _normalise_gemm(graph, node, values)
        elif node.op_type == "MatMul" and ranks.get(node.input[0]) == 2:
            weight = values.get(node.input[1])
            if weight is None or weight.ndim != 2:
                continue
            add = _bias_add(node, reading, values, outputs, weight.shape[1])
            rows = add_constant(graph, f"{node.input[1]}_rows", weight.T)
            node.op_type = "Gemm"
            node.input[1] = rows
            node.attribute.append(helper.make_attribute("transB", 1))
            if add is not None:
                node.input.extend(name for name in add.input if name != node.output[0])
                node.output[0] = add.output[0]
                dropped.add(add.name)
    set_nodes(graph, [node for node in graph.node if node.name not in dropped])


def _bias_add(
    node: onnx.NodeProto,
    reading: dict[str, list[onnx.NodeProto]],
    values: dict[str, Array],
    outputs: set[str],
    channels: int,
) -> onnx.NodeProto | None:
    """Return the Add behind `node` that adds a constant per output channel, if there is one."""
    result = node.output[0]
    if result in outputs or [reader.op_type for reader in reading[result]] != ["Add"]:
        return None
    add = reading[result][0]
    other = next((name for name in add.input if name != result), "")
    return add if other in values and values[other].shape == (channels,) else None


def _normalise_gemm(graph: onnx.GraphProto, node: onnx.NodeProto, values: dict[str, Array]) -> None:
    alpha, beta = attribute(node, "alpha", 1.0), attribute(node, "beta", 1.0)
    bias_name = node.input[2] if len(node.input) > 2 else ""
    weight, bias = values.get(node.input[1]), values.get(bias_name)
    if weight is None or attribute(node, "transA", 0) or (bias_name and bias is None):
        return
    trans_b = attribute(node, "transB", 0)
    channels = weight.shape[0] if trans_b else weight.shape[1]
    if not (alpha == 1.0 and trans_b):
        rows = weight if trans_b else weight.T
        node.input[1] = add_constant(graph, f"{node.input[1]}_rows", rows * np.float32(alpha))
    if bias is not None and not (beta == 1.0 and bias.shape == (channels,)):
        if bias.size not in (1, channels):
            return
        flat = np.broadcast_to(bias.reshape(-1), (channels,)) * np.float32(beta)
        node.input[2] = add_constant(graph, f"{bias_name}_row", flat)
    del node.attribute[:]
    node.attribute.append(helper.make_attribute("transB", 1))


def fold_batch_normalization(graph: onnx.GraphProto) -> None:
    """Fold BatchNormalization into the Conv or Gemm whose output only it reads.

    Computed in float64: W' = W * g, b' = (b - mean) * g + beta, with g = gamma / sqrt(var + eps).
    """
    values, reading = constants(graph), readers(graph)
    outputs = {value.name for value in graph.output}
    made = {name: node for node in graph.node for name in node.output}
    folded: set[str] = set()
    for node in graph.node:
        if node.op_type != "BatchNormalization" or attribute(node, "training_mode", 0):
            continue
        layer = made.get(node.input[0])
        if layer is None or layer.op_type not in ("Conv", "Gemm"):
            continue
        alone = len(reading[node.input[0]]) == 1 and node.input[0] not in outputs
        known = all(name in values for name in [*node.input[1:5], *layer.input[1:]])
        rows = layer.op_type == "Conv" or attribute(layer, "transB", 0)
        if not (alone and known and rows):
            continue
        gamma, beta, mean, var = (values[name].astype(np.float64) for name in node.input[1:5])
        gain = gamma / np.sqrt(var + attribute(node, "epsilon", 1e-5))
        weight = values[layer.input[1]]
        bias = values[layer.input[2]].astype(np.float64) if len(layer.input) > 2 else 0.0
        new_weight = weight * gain.reshape(-1, *[1] * (weight.ndim - 1))
        new_bias = (bias - mean) * gain + beta
        weight_name = add_constant(graph, f"{layer.input[1]}_folded", new_weight.astype(np.float32))
        bias_name = add_constant(graph, f"{layer.input[1]}_bias", new_bias.astype(np.float32))
        layer.input[:] = [layer.input[0], weight_name, bias_name]
        layer.output[0] = node.output[0]
        folded.add(node.name)
    set_nodes(graph, [node for node in graph.node if node.name not in folded])


def own_constants(graph: onnx.GraphProto) -> None:
    """Give every Conv and Gemm a weight that no other node reads, and a bias of its own.

    Repairs change weights and biases layer by layer; the copies keep them from changing a
    neighbour.
    """
    values = constants(graph)
    shared = Counter(name for node in graph.node for name in node.input if name)
    for node in graph.node:
        if node.op_type not in ("Conv", "Gemm") or node.input[1] not in values:
            continue
        weight = values[node.input[1]]
        if len(node.input) < 3 or not node.input[2]:
            rows = node.op_type == "Conv" or attribute(node, "transB", 0)
            channels = weight.shape[0] if rows else weight.shape[1]
            zeros = np.zeros(channels, weight.dtype)
            bias = add_constant(graph, f"{node.input[1]}_bias", zeros)
            node.input[:] = [*node.input[:2], bias]
        for index in (1, 2):
            name = node.input[index]
            if shared[name] > 1 and name in values:
                node.input[index] = add_constant(graph, f"{name}_{node.name}", values[name])
                shared[name] -= 1
