"""int32 biases behind a DequantizeLinear, which TensorRT refuses.

Source: TensorRT-RTX 1.7.1 ("input has type Int32 but must have type FP8, FP4, Int4, Int8");
TensorRT 8 to 11: NVIDIA/TensorRT#4542, microsoft/onnxruntime#14229.
"""

from __future__ import annotations

from collections.abc import Iterator

from toolkit.lint.findings import Finding, refused
from toolkit.lint.runtimes import Runtime
from toolkit.lint.subject import Subject

__all__ = ["check"]


def check(subject: Subject, runtime: Runtime) -> Iterator[Finding]:
    """Yield the nodes that dequantize int32 values."""
    for node in subject.quantizers:
        if node.op_type == "DequantizeLinear" and subject.type_name(node.input[0]) == "int32":
            yield refused(
                node.name,
                f"it dequantizes an int32 bias; {runtime.title} takes int8 there.",
                "keep biases in float (QuantizeBias: False in ONNX Runtime's quantizer).",
            )
