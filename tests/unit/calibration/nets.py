"""Small networks for the tests of this package, written out node by node."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
import onnxruntime
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

__all__ = ["Net", "run"]


class Net:
    """A network under construction; each method adds a node and returns its output's name."""

    def __init__(self, channels: int = 3, size: int = 8, seed: int = 0) -> None:
        self.rng = np.random.default_rng(seed)
        self.nodes: list[onnx.NodeProto] = []
        self.constants: list[onnx.TensorProto] = []
        self.input = "input"
        self._channels = {"input": channels}
        self._size = size

    def constant(self, values: Any, name: str, dtype: Any = np.float32) -> str:
        self.constants.append(numpy_helper.from_array(np.asarray(values, dtype), name))
        return name

    def add(
        self, op_type: str, *inputs: str, name: str = "", channels: int = 0, **extra: Any
    ) -> str:
        name = name or f"{op_type.lower()}{len(self.nodes)}"
        self.nodes.append(helper.make_node(op_type, inputs, [f"{name}_out"], name, **extra))
        self._channels[f"{name}_out"] = channels or self._channels.get(
            inputs[0] if inputs else "", 0
        )
        return f"{name}_out"

    def channels(self, tensor: str, count: int) -> None:
        """Say how many channels a tensor has, where no convolution made it."""
        self._channels[tensor] = count

    def conv(
        self,
        source: str,
        channels: int,
        kernel: int = 1,
        *,
        name: str = "",
        stride: int = 1,
        group: int = 1,
        bias: bool = True,
    ) -> str:
        name = name or f"conv{len(self.nodes)}"
        shape = (channels, self._channels[source] // group, kernel, kernel)
        fan_in = shape[1] * kernel * kernel
        weight = self.constant(self.rng.normal(size=shape) / np.sqrt(fan_in), f"{name}_weight")
        inputs = [source, weight]
        if bias:
            inputs.append(self.constant(self.rng.normal(size=channels), f"{name}_bias"))
        return self.add(
            "Conv",
            *inputs,
            name=name,
            channels=channels,
            kernel_shape=[kernel, kernel],
            pads=[kernel // 2] * 4,
            strides=[stride, stride],
            group=group,
        )

    def gemm(self, source: str, features: int, classes: int, *, name: str = "gemm") -> str:
        weight = self.constant(self.rng.normal(size=(classes, features)), f"{name}_weight")
        bias = self.constant(self.rng.normal(size=classes), f"{name}_bias")
        return self.add("Gemm", source, weight, bias, name=name, transB=1)

    def clip(self, source: str, low: float = 0.0, high: float = 6.0, *, name: str = "") -> str:
        name = name or f"clip{len(self.nodes)}"
        return self.add(
            "Clip",
            source,
            self.constant(low, f"{name}_low"),
            self.constant(high, f"{name}_high"),
            name=name,
        )

    def model(self, output: str, *, opset: int = 20, batch: Any = "batch") -> onnx.ModelProto:
        shape = [batch, self._channels[self.input], self._size, self._size]
        graph = helper.make_graph(
            self.nodes,
            "net",
            [helper.make_tensor_value_info(self.input, TensorProto.FLOAT, shape)],
            [helper.make_tensor_value_info(output, TensorProto.FLOAT, None)],
            self.constants,
        )
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)])
        model.ir_version = 8
        helper.set_model_props(model, {"edgekit": "contract"})
        return model


def run(
    model: onnx.ModelProto, batch: NDArray[np.float32], *, fused: bool = False
) -> NDArray[np.float32]:
    """Return the first output; Q/DQ evaluated in float unless `fused`."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.log_severity_level = 3
    if not fused:
        level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
        options.graph_optimization_level = level
    session = onnxruntime.InferenceSession(
        model.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )
    result: NDArray[np.float32] = session.run(None, {model.graph.input[0].name: batch})[0]
    return result
