"""Biases that keep a layer of ONNX Runtime in float.

Source: the optimized graphs of ONNX Runtime 1.32 (tests/contracts/test_lint_onnxruntime.py): its
integer kernels add int32 biases; it quantizes a float bias itself where that is unambiguous.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import onnx

from calibration.nodes import attribute
from toolkit.lint.findings import Finding, in_float
from toolkit.lint.runtimes import Runtime
from toolkit.lint.subject import Subject

__all__ = ["check"]


def check(subject: Subject, runtime: Runtime) -> Iterator[Finding]:
    """Yield the layers whose bias is in no form that an integer kernel adds."""
    for node in subject.layers:
        reason = _why_in_float(subject, node)
        if reason:
            yield in_float(node.name, reason, "store the bias as int32 behind a DequantizeLinear.")


def _why_in_float(subject: Subject, node: onnx.NodeProto) -> str:
    """Return why the bias of a layer that is read through DQ keeps it in float, or ""."""
    operands = subject.operands[node.name]
    if operands.activation_integers is None or node.op_type not in ("Conv", "Gemm"):
        return ""
    if len(node.input) < 3 or not node.input[2]:
        return ""
    name = node.input[2]
    for factor in ("alpha", "beta"):
        if attribute(node, factor, 1.0) != 1.0:
            return f"its {factor} is {attribute(node, factor):g}, not 1, and it has a bias."
    made_by = subject.graph.producer(name)
    if made_by is not None and made_by.op_type == "DequantizeLinear":
        kind = subject.type_name(made_by.input[0])
        weight = operands.weight_integers
        if kind != "int32":
            return f"its bias is {kind} behind a DequantizeLinear, not int32."
        return "" if weight is not None else "its bias is int32 while its weight is float."
    if subject.graph.constant(name) is None:
        return f"its bias {name!r} is computed."
    if node.op_type == "Gemm":
        return _why_float_gemm_bias(subject, node)
    weight = operands.weight_integers
    if weight is not None and weight.axis not in (None, 0):
        return f"its bias is float and its weight has scales along axis {weight.axis}."
    for held in (operands.activation_integers, weight):
        scale = None if held is None else subject.scale(held.dequantize)
        if scale is not None and not np.isfinite(scale).all():
            return "its bias is float and a scale of its operands is not finite."
    scale = None if weight is None else subject.scale(weight.dequantize)
    rows = subject.graph.shape(operands.weight)
    if scale is not None and rows and scale.size not in (1, rows[0]):
        return f"its weight has {scale.size} scales for {rows[0]} output channels."
    return ""


def _why_float_gemm_bias(subject: Subject, node: onnx.NodeProto) -> str:
    readers = subject.graph.readers(node.output[0])
    while [reader.op_type for reader in readers] in (["Relu"], ["Clip"]):
        readers = subject.graph.readers(readers[0].output[0])
    quantized = [reader.op_type for reader in readers] == ["QuantizeLinear"]
    return "" if quantized else "its bias is float and its result is not quantized."
