"""Layers that read one operand through a DequantizeLinear and the other one in float.

Source: TensorRT-RTX 1.7.1 computes them in float; TensorRT 8 to 11: the developer guide ("both
inputs").
"""

from __future__ import annotations

from collections.abc import Iterator

from toolkit.lint.findings import Finding, in_float
from toolkit.lint.rules.behind_dequantize import blocker_of
from toolkit.lint.runtimes import Runtime
from toolkit.lint.subject import Subject

__all__ = ["check"]


def check(subject: Subject, runtime: Runtime) -> Iterator[Finding]:
    """Yield the layers with one quantized operand, or with two that are both computed."""
    for layer in subject.layers:
        operands = subject.operands[layer.name]
        activation, weight = operands.activation_integers, operands.weight_integers
        if (activation is None) == (weight is None):
            if weight is not None and not weight.constant and runtime.is_tensorrt:
                yield in_float(
                    layer.name,
                    "both of its operands are computed; only constant weights run in INT8.",
                    "leave it in float: take the pairs away.",
                )
            continue
        missing = operands.activation if activation is None else operands.weight
        if blocker_of(subject, layer, missing) is not None:
            continue  # another rule names what stands between
        if weight is None and not runtime.is_tensorrt and layer.op_type == "Conv":
            continue  # ONNX Runtime quantizes that weight itself
        what = "weight" if weight is None else "activation"
        yield in_float(
            layer.name,
            f"its {what} {missing!r} has no DequantizeLinear, its other operand has.",
            f"quantize {missing!r} too, or take the other pair away.",
        )
