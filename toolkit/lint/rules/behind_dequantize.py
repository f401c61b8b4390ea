"""Operators between a DequantizeLinear and its layer that keep the layer in float.

Source: the layer table of TensorRT-RTX 1.7.1 for each operator in `toolkit/lint/integers.py`;
TensorRT 8 to 11: "operators that commute with Q/DQ" in the developer guide.
"""

from __future__ import annotations

from collections.abc import Iterator

import onnx

from toolkit.lint.findings import Finding, in_float
from toolkit.lint.runtimes import Runtime
from toolkit.lint.subject import Subject

__all__ = ["blocker_of", "check"]


def check(subject: Subject, runtime: Runtime) -> Iterator[Finding]:
    """Yield the layers that read dequantized values through an operator that changes them."""
    for layer in subject.layers:
        for tensor in (layer.input[0], layer.input[1]):
            node = blocker_of(subject, layer, tensor)
            if node is not None and node.op_type not in ("Pad", "Concat"):
                yield in_float(
                    layer.name,
                    f"{node.name!r} ({node.op_type}) stands between the DequantizeLinear and it.",
                    f"move the Q/DQ pair behind {node.name!r}.",
                )


def blocker_of(subject: Subject, layer: onnx.NodeProto, tensor: str) -> onnx.NodeProto | None:
    """Return what computes an operand from dequantized values and hides their integers."""
    if subject.integers_read_by(layer, tensor) is not None:
        return None
    node = subject.graph.producer(tensor)
    if node is None or not any(name in subject.integers for name in node.input):
        return None
    held = [subject.integers[name] for name in node.input if name in subject.integers]
    layers = node.op_type in ("Conv", "ConvTranspose", "Gemm", "MatMul")
    return None if layers or all(h.constant for h in held) else node
