"""Operators that TensorRT moves a DequantizeLinear across and ONNX Runtime does not.

Source: the optimized graphs of ONNX Runtime 1.32 (tests/contracts/test_lint_onnxruntime.py).
"""

from __future__ import annotations

from collections.abc import Iterator

from toolkit.lint.findings import Finding, in_float
from toolkit.lint.runtimes import Runtime
from toolkit.lint.subject import Subject

__all__ = ["check"]

_CROSSED = frozenset(
    {
        *("DequantizeLinear", "Identity", "Dropout", "MaxPool", "Reshape", "Transpose", "Slice"),
        *("Squeeze", "Unsqueeze"),
    }
)


def check(subject: Subject, runtime: Runtime) -> Iterator[Finding]:
    """Yield the layers with an operator in front that ONNX Runtime computes in float."""
    for layer in subject.layers:
        operands = subject.operands[layer.name]
        held = operands.activation_integers
        node = subject.graph.producer(operands.activation)
        if held is None or node is None:
            continue
        if node.op_type == "Pad" and operands.activation not in subject.integers:
            node = subject.graph.producer(node.input[0])  # zeros: the layer's own padding
        while node is not None and node.op_type in _CROSSED and node.name != held.dequantize.name:
            node = subject.graph.producer(node.input[0])
        if node is not None and node.op_type not in _CROSSED:
            yield in_float(
                layer.name,
                f"{node.name!r} ({node.op_type}) stands between the DequantizeLinear and it.",
                f"put another Q/DQ pair behind {node.name!r}.",
            )
