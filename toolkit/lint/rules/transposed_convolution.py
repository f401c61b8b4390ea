"""Transposed convolutions behind Q/DQ, which run in float.

Source: the layer table of TensorRT-RTX 1.7.1 (a `deconv` kernel with Float operands, whatever the
axis of the scales, on SM 8.0 to 12.1) and the optimized graph of ONNX Runtime 1.32. TensorRT 8 to
11 name INT8 transposed convolutions in their layer matrix, so this rule leaves them out.
"""

from __future__ import annotations

from collections.abc import Iterator

from toolkit.lint.findings import Finding, in_float
from toolkit.lint.runtimes import Runtime
from toolkit.lint.subject import Subject

__all__ = ["check"]


def check(subject: Subject, runtime: Runtime) -> Iterator[Finding]:
    """Yield the ConvTranspose nodes that have Q/DQ for nothing."""
    for layer in subject.layers:
        operands = subject.operands[layer.name]
        if layer.op_type == "ConvTranspose" and operands.activation_integers is not None:
            yield in_float(
                layer.name,
                f"{runtime.title} has no INT8 kernel for a transposed convolution.",
                "take its pairs away, or replace it by Resize and Conv.",
            )
