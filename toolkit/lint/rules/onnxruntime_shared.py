"""int8 activations that more than one node reads, on x86.

Source: the optimized graphs of ONNX Runtime 1.32 on x86-64: its integer kernels take uint8
activations there, and it turns an int8 pair into a uint8 one only where the pair has one reader.
uint8 pairs may be shared. On ARM64 int8 stays int8.
"""

from __future__ import annotations

from collections.abc import Iterator

import onnx

from toolkit.lint.findings import Finding, in_float
from toolkit.lint.runtimes import Runtime
from toolkit.lint.subject import Subject

__all__ = ["check"]

_MERGED = ("Relu", "Clip", "Identity", "Dropout")


def check(subject: Subject, runtime: Runtime) -> Iterator[Finding]:
    """Yield the layers that read or make int8 values with several readers."""
    if "x86" not in runtime.scheme.name:
        return
    for layer in subject.layers:
        held = subject.operands[layer.name].activation_integers
        if held is None:
            continue
        shared = _quantizer_of(subject, held.dequantize)
        if shared is None and subject.integer_type(held.dequantize) == "int8":
            yield in_float(
                layer.name,
                f"{held.dequantize.name!r} reads int8 values that no QuantizeLinear makes; on x86 "
                "they cannot become uint8.",
                "let the QuantizeLinear stand right in front of the DequantizeLinear.",
            )
            continue
        if shared is None or not _is_shared(subject, shared):
            shared = _quantizer_behind(subject, layer)
        if shared is not None and _is_shared(subject, shared):
            yield in_float(
                layer.name,
                f"the int8 values of {shared.name!r} have several readers; on x86 only uint8 "
                "values may.",
                f"quantize activations to uint8: scheme {runtime.scheme.name}.",
            )


def _quantizer_of(subject: Subject, dequantize: onnx.NodeProto) -> onnx.NodeProto | None:
    made_by = subject.graph.producer(dequantize.input[0])
    return made_by if made_by is not None and made_by.op_type == "QuantizeLinear" else None


def _quantizer_behind(subject: Subject, layer: onnx.NodeProto) -> onnx.NodeProto | None:
    tensor = layer.output[0]
    for _ in range(len(subject.graph.nodes)):
        readers = subject.graph.readers(tensor)
        if len(readers) != 1:
            return None
        if readers[0].op_type == "QuantizeLinear":
            return readers[0]
        if readers[0].op_type not in _MERGED:
            return None  # behind a MaxPool, say, it gets a pair of its own in between
        tensor = readers[0].output[0]
    return None


def _is_shared(subject: Subject, quantizer: onnx.NodeProto) -> bool:
    if subject.integer_type(quantizer) != "int8":
        return False
    integers = quantizer.output[0]
    readers = subject.graph.readers(integers)
    if len(readers) != 1 or readers[0].op_type != "DequantizeLinear" or subject.is_output(integers):
        return True
    values = readers[0].output[0]
    read = [reader for reader in subject.graph.readers(values) if reader.op_type != "Shape"]
    return len(read) + subject.is_output(values) > 1  # a Shape is folded before
