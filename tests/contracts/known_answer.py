"""A network small enough to work out by hand, which every runtime must reproduce.

The picture is 1..9 in three rows, the kernel [[1, 0], [1, 0]]: it adds each pixel to the one below
it, so the convolution gives [[5, 7], [11, 13]]. ReLU leaves that as it is (and its negative
becomes 0), max-pooling gives 13. Those six numbers are the logits of `convolution()`.
"""

from __future__ import annotations

import math

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from toolkit.contract import Contract
from toolkit.preprocess import Preprocess

__all__ = ["ANSWER", "CROSS_ENTROPY", "PICTURE", "contract", "convolution", "cross_entropy"]

PICTURE: NDArray[np.float32] = np.arange(1, 10, dtype=np.float32).reshape(1, 1, 3, 3)
ANSWER = [5.0, 7.0, 11.0, 13.0, 13.0, 0.0]
CROSS_ENTROPY = 0.223  # -log 0.8


def contract(model: onnx.ModelProto) -> Contract:
    classes = model.graph.output[0].type.tensor_type.shape.dim[1].dim_value
    names = tuple(f"value {index}" for index in range(classes))
    return Contract(
        input_name="image",
        input_shape=(0, 1, 3, 3),
        preprocess=Preprocess(3, 3, colour="gray", mean=(0.0,), std=(1.0,), scale=1.0),
        labels=names,
        ids=names,
        source="worked by hand",
    )


def _model(
    nodes: list[onnx.NodeProto], constants: dict[str, object], classes: int
) -> onnx.ModelProto:
    graph = helper.make_graph(
        nodes,
        "known_answer",
        [helper.make_tensor_value_info("image", TensorProto.FLOAT, ["batch", 1, 3, 3])],
        [helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["batch", classes])],
        [numpy_helper.from_array(np.asarray(value), name) for name, value in constants.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)])
    model.ir_version = 8
    return model


def convolution() -> onnx.ModelProto:
    """Logits: the four convolution results, their maximum, and the ReLU of its negative."""
    nodes = [
        helper.make_node("Conv", ["image", "kernel"], ["conv"], "conv"),
        helper.make_node("Relu", ["conv"], ["relu"], "relu"),
        helper.make_node("MaxPool", ["relu"], ["pool"], "pool", kernel_shape=[2, 2]),
        helper.make_node("Flatten", ["relu"], ["four"], "flatten_four"),
        helper.make_node("Flatten", ["pool"], ["one"], "flatten_one"),
        helper.make_node("Neg", ["one"], ["negative"], "neg"),
        helper.make_node("Relu", ["negative"], ["zero"], "relu_negative"),
        helper.make_node("Concat", ["four", "one", "zero"], ["logits"], "concat", axis=1),
    ]
    kernel = np.array([[[[1, 0], [1, 0]]]], np.float32)
    return _model(nodes, {"kernel": kernel}, 6)


def cross_entropy() -> onnx.ModelProto:
    """Logits: -log softmax of two scores ln 8 and ln 2, that is -log 0.8 and -log 0.2.

    The scores are the picture's first pixel, 1, times them.
    """
    nodes = [
        helper.make_node("Conv", ["image", "scores"], ["all"], "conv", strides=[3, 3]),
        helper.make_node("Flatten", ["all"], ["flat"], "flatten"),
        helper.make_node("LogSoftmax", ["flat"], ["log"], "log_softmax", axis=1),
        helper.make_node("Neg", ["log"], ["logits"], "neg"),
    ]
    scores = np.zeros((2, 1, 1, 1), np.float32)
    scores[:, 0, 0, 0] = math.log(8.0), math.log(2.0)
    return _model(nodes, {"scores": scores}, 2)
