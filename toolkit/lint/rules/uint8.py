"""uint8 activations and weights, and quantizers without a zero-point, on the TensorRT family.

Source: TensorRT-RTX 1.7.1 warns "Defaulting to INT8 instead", builds, and values above 127
saturate; it refuses uint8 initializers. A QuantizeLinear without zero-point gives uint8 in ONNX
and int8 in TensorRT-RTX, without a warning. TensorRT 8 and 10: QuantDequantLinearHelper of
onnx-tensorrt 8.5, 8.6 and 10.1 (8 asks for a zero-point; none of them computes in uint8), and
NVIDIA/TensorRT#2774.
"""

from __future__ import annotations

from collections.abc import Iterator

import onnx

from toolkit.lint.findings import Finding, advice, refused, wrong
from toolkit.lint.runtimes import Runtime
from toolkit.lint.subject import Subject

__all__ = ["check"]


def check(subject: Subject, runtime: Runtime) -> Iterator[Finding]:
    """Yield the Q and DQ nodes of uint8 values, and those that do not say which they give."""
    fix = f"quantize to int8, zero-point 0: scheme {runtime.scheme.name} of `edgekit calibrate`."
    for node in subject.quantizers:
        if len(node.input) < 3 or not node.input[2]:
            yield from _unsaid(node, runtime)
        elif subject.integer_type(node) == "uint8" and not _stores(subject, node):
            yield wrong(
                node.name,
                f"{runtime.title} reads its uint8 values as int8: everything above 127 steps "
                "saturates.",
                fix,
            )
        if _stores(subject, node) and subject.type_name(node.input[0]) == "uint8":
            yield refused(node.name, f"{node.input[0]!r} holds uint8 weights.", fix)


def _stores(subject: Subject, node: onnx.NodeProto) -> bool:
    return node.op_type == "DequantizeLinear" and subject.is_initializer(node.input[0])


def _unsaid(node: onnx.NodeProto, runtime: Runtime) -> Iterator[Finding]:
    fix = "add an int8 zero-point of 0."
    if runtime.family == "tensorrt" and runtime.tensorrt < (10,):
        yield refused(node.name, f"it has no zero-point, which {runtime.title} asks for.", fix)
    elif node.op_type == "QuantizeLinear":
        yield advice(
            node.name,
            f"it has no zero-point: ONNX then means uint8, {runtime.title} reads int8, so "
            "negative values differ from what ONNX Runtime computes.",
            fix,
        )
