"""Depthwise and grouped convolutions in INT8.

Source: the layer table of TensorRT-RTX 1.7.1 widens them with zeros (MobileNetV2: an engine of
18.6 MB in INT8, 14.3 in FP32). TensorRT 8 to 11: NVIDIA/TensorRT#4529 (groups are split, slower
than FP16) and #4060 (no implementation for a depthwise pattern). On ONNX Runtime both are kernels.
"""

from __future__ import annotations

from collections.abc import Iterator

from calibration.nodes import attribute
from toolkit.lint.findings import Finding, advice, remark
from toolkit.lint.runtimes import Runtime
from toolkit.lint.subject import Subject

__all__ = ["check"]


def check(subject: Subject, runtime: Runtime) -> Iterator[Finding]:
    """Yield the quantized convolutions with groups."""
    for layer in subject.layers:
        groups = int(attribute(layer, "group", 1)) if layer.op_type == "Conv" else 1
        shape = subject.graph.shape(layer.input[1])
        held = subject.operands[layer.name]
        if groups == 1 or shape is None or None in (held.activation_integers, held.weight_integers):
            continue
        text = f"{groups} groups of {shape[1]} input channels"
        if runtime.family == "tensorrt-rtx":
            yield advice(
                layer.name,
                f"{text}: {runtime.title} widens them with zeros in INT8, and the engine grows.",
                "keep it in float, as scheme tensorrt-rtx of `edgekit calibrate` does.",
            )
        elif subject.graph.is_depthwise(layer):
            yield remark(
                layer.name,
                f"{text}: whether {runtime.title} has a fast INT8 kernel depends on the GPU.",
                "measure it, and keep it in float where INT8 is not faster.",
            )
        else:
            yield advice(
                layer.name,
                f"{text}: {runtime.title} may split it, which is slower than FP16.",
                "measure it, and keep it in float where INT8 is not faster.",
            )
