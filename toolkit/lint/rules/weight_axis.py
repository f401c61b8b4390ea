"""Weights whose scales do not lie along the output channels.

Source: TensorRT-RTX 1.7.1 computes such a layer in float. ONNX Runtime 1.32 fuses a convolution
or a MatMul all the same and then applies the scales to the output channels: other numbers come
out, unless a float bias or a quantized result prevents it (both in tests/contracts). TensorRT 8
to 11: the developer guide asks for the output channel axis; what its builder does with another
was not seen.
"""

from __future__ import annotations

from collections.abc import Iterator

import onnx

from calibration.nodes import attribute
from toolkit.lint.findings import Finding, in_float, wrong
from toolkit.lint.integers import LOST
from toolkit.lint.runtimes import Runtime
from toolkit.lint.subject import Subject

__all__ = ["check"]


def check(subject: Subject, runtime: Runtime) -> Iterator[Finding]:
    """Yield the layers whose weight is quantized along another axis."""
    for layer in subject.layers:
        held = subject.operands[layer.name].weight_integers
        if held is None or not held.constant or held.axis is None:
            continue
        wanted = _output_axis(subject, layer)
        if wanted is None or held.axis == wanted or layer.op_type == "ConvTranspose":
            continue
        where = "no single axis" if held.axis == LOST else f"axis {held.axis}"
        message = f"its weight has its scales along {where}; its output channels are axis {wanted}."
        fix = f"quantize {held.dequantize.input[0]!r} along axis {wanted}, or with one scale."
        if not runtime.is_tensorrt and _fuses_wrongly(subject, layer):
            yield wrong(layer.name, f"{message} {runtime.title} mixes them up.", fix)
        else:
            yield in_float(layer.name, message, fix)


def _fuses_wrongly(subject: Subject, layer: onnx.NodeProto) -> bool:
    """Return whether ONNX Runtime makes an integer kernel of it, with the scales misplaced."""
    if layer.op_type == "MatMul":
        readers = subject.graph.readers(layer.output[0])
        return all(reader.op_type not in ("QuantizeLinear", "Add") for reader in readers)
    bias = layer.input[2] if len(layer.input) > 2 else ""
    return layer.op_type == "Conv" and not (bias and subject.is_initializer(bias))


def _output_axis(subject: Subject, layer: onnx.NodeProto) -> int | None:
    if layer.op_type == "Conv":
        return 0
    operands = subject.operands[layer.name]
    if layer.op_type == "Gemm":
        transposed = bool(attribute(layer, "transB", 0))
        return 0 if transposed else 1
    shape = subject.graph.shape(operands.weight)
    if shape is None:
        return None
    return len(shape) - 1 if operands.weight_index == 1 else len(shape) - 2
