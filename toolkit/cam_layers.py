"""Where a classifier can be looked into: its last features, and the weights that sum them up.

Zhou et al., "Learning Deep Features for Discriminative Localization" (CVPR 2016): with a global
average pool and one linear layer behind the last features, the score of a class is the mean over
the picture of a map. Two forms have one: features -> pool -> linear layer (MobileNetV2, ResNet,
EfficientNet), and one map a class -> pool (SqueezeNet).
"""

from __future__ import annotations

from dataclasses import dataclass

import onnx
from onnx import numpy_helper, shape_inference

from calibration.graph import Graph
from calibration.nodes import attribute
from toolkit.errors import ModelError

__all__ = ["CamLayers", "ClassWeights", "find_cam_layers"]

_BEHIND = ("Softmax", "LogSoftmax", "Identity", "Cast", "Flatten", "Reshape", "Squeeze", "Dropout")
_BETWEEN = ("Identity", "Cast", "Flatten", "Reshape", "Squeeze", "Unsqueeze", "Dropout")
_QUANTIZERS = ("QuantizeLinear", "DequantizeLinear")


@dataclass(frozen=True)
class ClassWeights:
    """The weights of the linear layer: tensor `name`, one class per index along `axis`.

    `scale` is the tensor of scales where `name` holds integers, else "".
    """

    name: str
    axis: int
    scale: str = ""


@dataclass(frozen=True)
class CamLayers:
    """`features` (N, C, height, width) are pooled; `weights` is None where C are the classes."""

    features: str
    height: int
    width: int
    weights: ClassWeights | None
    types: dict[str, int]
    """The element type of each tensor."""


def find_cam_layers(model: onnx.ModelProto, *, where: str) -> CamLayers:
    """Return what a class activation map of `model`, float or with Q/DQ, is made from.

    Raises ModelError, naming the layer in the way, for a network of another form.
    """
    search = _Search(model, where)
    tensor = search.back(search.graph.outputs[0], through=_BEHIND)
    node = search.graph.producer(tensor)
    if node is not None and node.op_type == "Add":  # MatMul and its bias
        computed = [name for name in node.input if search.constant(name) is None]
        if len(computed) != 1:
            raise search.refused(node)
        tensor = computed[0]
        node = search.graph.producer(search.back(tensor, through=()))
    weights = None
    if node is not None and node.op_type in ("Gemm", "MatMul", "Conv"):
        weights = search.weights(node)
        tensor = search.back(node.input[0], through=_BETWEEN)
        node = search.graph.producer(tensor)
    if node is None or not search.pools_everything(node):
        raise search.refused(node)
    channels, height, width = search.sizes(node)
    if weights is None and channels != search.classes:
        raise search.refused(node)
    return CamLayers(node.input[0], height, width, weights, search.types)


class _Search:
    def __init__(self, model: onnx.ModelProto, where: str) -> None:
        inferred = shape_inference.infer_shapes(model, data_prop=True)
        self.graph = Graph(inferred)
        self._initializers: dict[str, onnx.TensorProto] = {
            tensor.name: tensor for tensor in inferred.graph.initializer
        }
        self.where = where
        values = (*inferred.graph.input, *inferred.graph.value_info, *inferred.graph.output)
        self.types = {v.name: int(v.type.tensor_type.elem_type) for v in values}
        self.types |= {t.name: int(t.data_type) for t in inferred.graph.initializer}
        shape = self.graph.shape(self.graph.outputs[0]) or ()
        self.classes = shape[-1] if shape else None

    def back(self, tensor: str, *, through: tuple[str, ...]) -> str:
        """Return the tensor from which these operators, and Q/DQ, make `tensor`."""
        node = self.graph.producer(tensor)
        while node is not None and node.op_type in (*through, *_QUANTIZERS):
            tensor = node.input[0]
            node = self.graph.producer(tensor)
        return tensor

    def constant(self, name: str) -> onnx.TensorProto | None:
        """Return the constant `name`: an initializer, what a Constant holds, or its Q/DQ."""
        if (initializer := self._initializers.get(name)) is not None:
            return initializer
        node = self.graph.producer(name)
        if node is None:
            return None
        if node.op_type == "Constant":
            stored: onnx.TensorProto | None = attribute(node, "value", None)
            return stored
        return self.constant(node.input[0]) if node.op_type in _QUANTIZERS else None

    def weights(self, node: onnx.NodeProto) -> ClassWeights:
        """Return the weights of a linear layer that has one row or column a class."""
        name = node.input[1]
        values = self.constant(name)
        rank = 0 if values is None else len(values.dims)
        if node.op_type == "Gemm":
            plain = attribute(node, "alpha", 1.0) == 1.0 and not attribute(node, "transA", 0)
            fits, axis = plain and rank == 2, 0 if attribute(node, "transB", 0) else 1
        elif node.op_type == "MatMul":
            fits, axis = rank == 2, 1
        else:
            ones = values is not None and list(values.dims[2:]) == [1, 1]
            fits, axis = ones and attribute(node, "group", 1) == 1, 0
        if not fits or values is None or values.dims[axis] != self.classes:
            raise self.refused(node)
        return self._stored(node, name, axis)

    def _stored(self, layer: onnx.NodeProto, name: str, axis: int) -> ClassWeights:
        """Return the weights as the file stores them, not as Q/DQ gives them."""
        node = self.graph.producer(name)
        if node is None or node.op_type == "Constant":
            return ClassWeights(name, axis)
        behind = self.graph.producer(node.input[0])
        if behind is not None and behind.op_type == "QuantizeLinear":
            return ClassWeights(behind.input[0], axis)  # float weights, for TensorRT 8
        zero = self.constant(node.input[2]) if len(node.input) > 2 and node.input[2] else None
        scale = self.constant(node.input[1])
        if scale is None or (zero is not None and numpy_helper.to_array(zero).any()):
            raise self.refused(layer)
        return ClassWeights(node.input[0], axis, scale=node.input[1])

    def pools_everything(self, node: onnx.NodeProto) -> bool:
        """Return whether `node` is the mean over the whole height and width."""
        if node.op_type == "ReduceMean":
            axes = list(attribute(node, "axes", []))
            if len(node.input) > 1 and (stored := self.constant(node.input[1])) is not None:
                axes = numpy_helper.to_array(stored).tolist()
            return sorted(axis % 4 for axis in axes) == [2, 3]
        if node.op_type == "AveragePool":
            kernel = tuple(attribute(node, "kernel_shape", ()))
            return kernel == self.sizes(node)[1:] and not any(attribute(node, "pads", ()))
        return node.op_type == "GlobalAveragePool"

    def sizes(self, pool: onnx.NodeProto) -> tuple[int, int, int]:
        """Return channels, height and width of what is pooled."""
        shape = self.graph.shape(pool.input[0]) or ()
        known = [size for size in shape[1:] if size]
        if len(shape) != 4 or len(known) != 3 or known[1:] == [1, 1]:
            raise self.refused(pool)
        return known[0], known[1], known[2]

    def refused(self, node: onnx.NodeProto | None) -> ModelError:
        what = f"{node.op_type} {node.name!r}" if node is not None else "no such layer"
        return ModelError(
            f"{self.where} has no class activation map: that takes one global average pool with at "
            f"most one linear layer behind it, and looking back from the output, {what} comes "
            "first.",
            next_command="edgekit import SOURCE --out model.onnx   (without --cam)",
        )
