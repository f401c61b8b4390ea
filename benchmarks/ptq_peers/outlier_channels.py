"""Plant outlier channels in a float network without changing what it computes.

A known factor 2**bits goes into some output channels of a convolution and out of the matching
input channels of its readers; the Relu between them lets it through. In float nothing changes,
because products with a power of two are exact. With one scale per tensor the other channels lose
`bits` of their 8 bits, as they do in real networks whose training left such channels behind.
"""

from __future__ import annotations

from collections import defaultdict

import numpy as np
import onnx
from onnx import numpy_helper

__all__ = ["plant_outlier_channels"]


def plant_outlier_channels(
    model: onnx.ModelProto, *, bits: int, share: float = 0.1, seed: int = 0
) -> tuple[onnx.ModelProto, int]:
    """Return a copy of `model` with outlier channels, and how many were planted.

    In every Conv -> Relu whose readers are all convolutions with group 1, `share` of the channels
    (at least one) become 2**bits as large.
    """
    planted = onnx.ModelProto()
    planted.CopyFrom(model)
    graph = planted.graph
    readers: dict[str, list[onnx.NodeProto]] = defaultdict(list)
    for node in graph.node:
        for name in node.input:
            readers[name].append(node)
    weights = {tensor.name: tensor for tensor in graph.initializer}
    outputs = {value.name for value in graph.output}
    generator, count = np.random.default_rng(seed), 0
    for node in graph.node:
        consumers = _consumers(node, readers, weights, outputs)
        if not consumers:
            continue
        channels = weights[node.input[1]].dims[0]
        chosen = generator.permutation(channels)[: max(1, round(share * channels))]
        gain = np.ones(channels, np.float32)
        gain[chosen] = 2.0**bits
        for name in node.input[1:3]:
            _multiply(weights[name], gain, axis=0)
        for consumer in consumers:
            _multiply(weights[consumer.input[1]], np.float32(1.0) / gain, axis=1)
        count += len(chosen)
    return planted, count


def _consumers(
    node: onnx.NodeProto,
    readers: dict[str, list[onnx.NodeProto]],
    weights: dict[str, onnx.TensorProto],
    outputs: set[str],
) -> list[onnx.NodeProto]:
    """Return the convolutions behind the Relu behind `node`; none where a factor would show."""
    if node.op_type != "Conv" or any(name not in weights for name in node.input[1:]):
        return []
    activations = readers[node.output[0]]
    if [each.op_type for each in activations] != ["Relu"]:
        return []
    result = activations[0].output[0]
    consumers = readers[result]
    takes_it = all(
        reader.op_type == "Conv" and reader.input[1] in weights and _groups(reader) == 1
        for reader in consumers
    )
    return consumers if takes_it and not outputs & {node.output[0], result} else []


def _groups(node: onnx.NodeProto) -> int:
    return next((entry.i for entry in node.attribute if entry.name == "group"), 1)


def _multiply(tensor: onnx.TensorProto, gain: np.ndarray, *, axis: int) -> None:
    values = numpy_helper.to_array(tensor)
    shape = [1] * values.ndim
    shape[axis] = -1
    tensor.CopyFrom(numpy_helper.from_array(values * gain.reshape(shape), tensor.name))
