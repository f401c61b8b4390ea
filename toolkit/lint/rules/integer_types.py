"""Q/DQ of types other than int8, and quantizers that read integers.

Source: TensorRT-RTX 1.7.1 (no INT16 initializers; "input has type Int8 but must have type Float,
Half, or BFloat16"; int4 weights of a convolution fail in its compiler; a blocked convolution
weight fails in its parser). TensorRT 8 to 11: the types of IQuantizeLayer in NvInfer.h. ONNX
Runtime refuses a QuantizeLinear of integers by the ONNX type rules.
"""

from __future__ import annotations

from collections.abc import Iterator

import onnx

from calibration.nodes import attribute
from toolkit.lint.findings import Finding, in_float, refused
from toolkit.lint.runtimes import Runtime
from toolkit.lint.subject import Subject

__all__ = ["check"]

_SIXTEEN_BITS = ("int16", "uint16")


def check(subject: Subject, runtime: Runtime) -> Iterator[Finding]:
    """Yield Q/DQ nodes of types that the runtime does not compute in."""
    for node in subject.quantizers:
        kind = subject.integer_type(node)
        made_by = subject.graph.producer(node.input[0])
        twice = made_by is not None and made_by.op_type == node.op_type == "QuantizeLinear"
        if made_by is not None and twice:
            yield refused(
                node.name,
                f"it quantizes the integers of {made_by.name!r} once more.",
                "remove one of the two QuantizeLinear nodes.",
            )
        if kind in _SIXTEEN_BITS and runtime.is_tensorrt:
            yield refused(
                node.name, f"{runtime.title} has no {kind} Q/DQ.", "quantize to int8 instead."
            )
    for layer in subject.layers:
        yield from _narrow(subject, runtime, layer)


def _narrow(subject: Subject, runtime: Runtime, layer: onnx.NodeProto) -> Iterator[Finding]:
    operands = subject.operands[layer.name]
    for held in (operands.activation_integers, operands.weight_integers):
        if held is None:
            continue
        kind = subject.integer_type(held.dequantize)
        if layer.op_type == "Conv" and runtime.is_tensorrt:
            blocked = int(attribute(held.dequantize, "block_size", 0))
            if kind.endswith("int4") or blocked:
                what = f"blocks of {blocked}" if blocked else kind
                yield refused(
                    layer.name,
                    f"{runtime.title} has no convolution with {what} behind "
                    f"{held.dequantize.name!r}.",
                    "quantize its weight to int8, one scale per output channel.",
                )
                continue
        if kind and kind not in ("int8", "uint8") and kind != "int32":
            yield in_float(
                layer.name,
                f"{held.dequantize.name!r} gives {kind} values, not int8.",
                "quantize them to int8.",
            )
