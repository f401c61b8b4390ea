"""Small ONNX classifiers for tests, with their contracts."""

from __future__ import annotations

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from toolkit.contract import Contract
from toolkit.preprocess import Preprocess

__all__ = ["classifier", "contract", "half_classifier", "quantized_classifier"]


def contract(**changes: object) -> Contract:
    """A contract that fits `classifier()`."""
    made = Contract(
        input_name="image",
        input_shape=(0, 3, 16, 16),
        preprocess=Preprocess(16, 16, mean=(0.5, 0.5, 0.5), std=(0.25, 0.25, 0.25)),
        labels=("cat", "dog", "owl", "emu"),
        ids=("n1", "n2", "n3", "n4"),
        source="test",
    )
    return made.with_changes(**changes) if changes else made


def _weights(seed: int, channels: int, classes: int) -> dict[str, NDArray[np.float32]]:
    rng = np.random.default_rng(seed)
    shapes = {
        "w1": (channels, 3, 3, 3),
        "w2": (channels, channels, 3, 3),
        "wf": (channels, classes),
    }
    made = {
        name: (rng.standard_normal(shape) * (2.0 / np.prod(shape[1:])) ** 0.5).astype(np.float32)
        for name, shape in shapes.items()
    }
    made["wf"] = rng.standard_normal(shapes["wf"]).astype(np.float32)
    for name, size in {"b1": channels, "b2": channels, "bf": classes}.items():
        made[name] = (0.1 * rng.standard_normal(size)).astype(np.float32)
    return made


def _model(
    nodes: list[onnx.NodeProto], initializers: list[onnx.TensorProto], opset: int, classes: int
) -> onnx.ModelProto:
    image = helper.make_tensor_value_info("image", TensorProto.FLOAT, ["batch", 3, 16, 16])
    logits = helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["batch", classes])
    graph = helper.make_graph(nodes, "net", [image], [logits], initializers)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)])
    model.ir_version = 10
    return model


def classifier(*, seed: int = 0, opset: int = 20, channels: int = 16) -> onnx.ModelProto:
    """image -> Conv Relu -> Conv Relu -> GlobalAveragePool -> Flatten -> Gemm -> logits."""
    weights = _weights(seed, channels, 4)
    nodes = [
        helper.make_node("Conv", ["image", "w1", "b1"], ["c1"], "conv1", pads=[1, 1, 1, 1]),
        helper.make_node("Relu", ["c1"], ["r1"], "relu1"),
        helper.make_node("Conv", ["r1", "w2", "b2"], ["c2"], "conv2", pads=[1, 1, 1, 1]),
        helper.make_node("Relu", ["c2"], ["r2"], "relu2"),
        helper.make_node("GlobalAveragePool", ["r2"], ["p"], "pool"),
        helper.make_node("Flatten", ["p"], ["f"], "flatten"),
        helper.make_node("Gemm", ["f", "wf", "bf"], ["logits"], "fc"),
    ]
    initializers = [numpy_helper.from_array(value, name) for name, value in weights.items()]
    return _model(nodes, initializers, opset, 4)


def quantized_classifier(
    *, seed: int = 0, activations: str = "int8", opset: int = 20, channels: int = 16
) -> onnx.ModelProto:
    """`classifier()` with Q/DQ before both convolutions and int8 weights behind DQ.

    `activations`: "int8" (symmetric, as TensorRT wants it) or "uint8" (pairs on outputs too and
    an int32 bias, as ONNX Runtime fuses it).
    """
    model = classifier(seed=seed, opset=opset, channels=channels)
    weights = {t.name: numpy_helper.to_array(t) for t in model.graph.initializer}
    kind = np.int8 if activations == "int8" else np.uint8
    scales = {"image": 4.0 / 127, "r1": 6.0 / 127, "r2": 6.0 / 127}
    zeros = dict.fromkeys(scales, 0)
    if activations == "uint8":
        scales = {"image": 8.0 / 255, "r1": 6.0 / 255, "r2": 6.0 / 255}
        zeros = {"image": 128, "r1": 0, "r2": 0}
    added: dict[str, NDArray[np.generic]] = {}
    nodes: list[onnx.NodeProto] = []

    def pair(tensor: str) -> str:
        added[f"{tensor}_s"] = np.array(scales[tensor], np.float32)
        added[f"{tensor}_z"] = np.array(zeros[tensor], kind)
        ends = [f"{tensor}_s", f"{tensor}_z"]
        nodes.append(
            helper.make_node("QuantizeLinear", [tensor, *ends], [f"{tensor}_q"], f"{tensor}_Q")
        )
        nodes.append(
            helper.make_node(
                "DequantizeLinear", [f"{tensor}_q", *ends], [f"{tensor}_dq"], f"{tensor}_DQ"
            )
        )
        return f"{tensor}_dq"

    def weight(name: str, source: str) -> str:
        value = weights.pop(name)
        # 7 bits for u8: without VNNI, pairs of u8*s8 products saturate in 16 bits.
        scale = np.abs(value).reshape(len(value), -1).max(1) / (127 if kind is np.int8 else 63)
        added[f"{name}_s"] = scale.astype(np.float32)
        added[f"{name}_q"] = np.rint(value / scale.reshape(-1, 1, 1, 1)).astype(np.int8)
        added[f"{name}_z"] = np.zeros(len(scale), np.int8)
        ends = [f"{name}_q", f"{name}_s", f"{name}_z"]
        nodes.append(
            helper.make_node("DequantizeLinear", ends, [f"{name}_dq"], f"{name}_DQ", axis=0)
        )
        bias = "b" + name[1:]
        if kind is np.uint8:
            joint = (scale * scales[source]).astype(np.float32)
            added[f"{bias}_s"] = joint
            added[f"{bias}_q"] = np.rint(weights.pop(bias) / joint).astype(np.int32)
            nodes.append(
                helper.make_node(
                    "DequantizeLinear", [f"{bias}_q", f"{bias}_s"], [f"{bias}_dq"], axis=0
                )
            )
        return f"{name}_dq"

    for node in list(model.graph.node):
        if node.op_type == "Conv":
            source = node.input[0]
            node.input[0] = pair(source) if not source.endswith("_dq") else source
            node.input[1] = weight(node.input[1], source.removesuffix("_dq"))
            if kind is np.uint8:
                node.input[2] += "_dq"
        nodes.append(node)
        if kind is np.uint8 and node.op_type == "Relu":
            name = node.output[0]
            pair(name)
            for later in model.graph.node:
                for index, used in enumerate(later.input):
                    if used == name:
                        later.input[index] = f"{name}_dq"
    initializers = [numpy_helper.from_array(v, n) for n, v in {**weights, **added}.items()]
    return _model(nodes, initializers, opset, 4)


def half_classifier(*, seed: int = 0, opset: int = 20) -> onnx.ModelProto:
    """`classifier()` in FP16 between a Cast at its input and one at its output."""
    model = classifier(seed=seed, opset=opset)
    for tensor in model.graph.initializer:
        half = numpy_helper.to_array(tensor).astype(np.float16)
        tensor.CopyFrom(numpy_helper.from_array(half, tensor.name))
    nodes = list(model.graph.node)
    nodes[0].input[0] = "image_half"
    nodes[-1].output[0] = "logits_half"
    first = helper.make_node("Cast", ["image"], ["image_half"], "to_half", to=TensorProto.FLOAT16)
    last = helper.make_node("Cast", ["logits_half"], ["logits"], "to_float", to=TensorProto.FLOAT)
    return _model([first, *nodes, last], list(model.graph.initializer), opset, 4)
