"""Results that keep a layer of ONNX Runtime in float.

Source: the optimized graphs of ONNX Runtime 1.32 (tests/contracts/test_lint_onnxruntime.py): a
convolution becomes QLinearConv only where one QuantizeLinear, and nothing else, reads its result.
A Relu or Clip in between belongs to the quantizer when the range of the integers cuts as it does.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import onnx

from toolkit.lint.findings import Finding, in_float
from toolkit.lint.integers import scalar_constant
from toolkit.lint.runtimes import Runtime
from toolkit.lint.subject import Subject

__all__ = ["check"]

_CARRIED = ("Identity", "Dropout", "MaxPool", "Reshape", "Transpose", "Slice", "Squeeze")
_CUTS = ("Relu", "Clip")
_TINY = 1e-6


def check(subject: Subject, runtime: Runtime) -> Iterator[Finding]:
    """Yield the layers whose result is not read by one quantizer."""
    for layer in subject.layers:
        if layer.op_type not in ("Conv", "Gemm", "MatMul"):
            continue
        if subject.operands[layer.name].activation_integers is None:
            continue
        reason = _why_in_float(subject, layer)
        if reason:
            yield in_float(
                layer.name,
                reason,
                "put one Q/DQ pair on its result, behind its Relu or Clip: scheme "
                f"{runtime.scheme.name} of `edgekit calibrate` does.",
            )


def _why_in_float(subject: Subject, layer: onnx.NodeProto) -> str:
    tensor, cut, biased = layer.output[0], "", False
    while True:
        readers = subject.graph.readers(tensor)
        if layer.op_type != "Conv" and not (cut or biased) and _leaves_in_float(readers):
            return ""  # a matrix product has an integer kernel with a float result
        if subject.is_output(tensor):
            return f"its result {tensor!r} leaves the graph in float."
        if len(readers) != 1:
            kinds = ", ".join(sorted({reader.op_type for reader in readers})) or "nothing"
            return f"its result {tensor!r} is read by {len(readers)} nodes ({kinds})."
        reader = readers[0]
        if reader.op_type == "QuantizeLinear":
            return _why_not_quantized(subject, reader, cut)
        if reader.op_type in _CUTS:
            cut = reader.name
        elif reader.op_type == "Add" and layer.op_type == "MatMul" and not biased:
            if not any(subject.is_initializer(name) for name in reader.input):
                return f"its result is read in float, by {reader.name!r} (Add)."
            biased = True
        elif reader.op_type not in _CARRIED:
            return f"its result is read in float, by {reader.name!r} ({reader.op_type})."
        tensor = reader.output[0]


def _leaves_in_float(readers: tuple[onnx.NodeProto, ...]) -> bool:
    return not any(reader.op_type in ("QuantizeLinear", *_CUTS, "Add") for reader in readers)


def _why_not_quantized(subject: Subject, quantizer: onnx.NodeProto, cut: str) -> str:
    scale, zero_point = subject.scale(quantizer), subject.zero_point(quantizer)
    if scale is None or scale.size != 1:
        return f"{quantizer.name!r} has no single constant scale for its result."
    kind = subject.integer_type(quantizer)
    if kind not in ("int8", "uint8"):
        return f"{quantizer.name!r} gives {kind}."
    if not cut:
        return ""
    info = np.iinfo(kind)
    zero = 0 if zero_point is None or zero_point.size != 1 else int(zero_point.reshape(-1)[0])
    step = float(scale.reshape(-1)[0])
    low, high = _bounds(subject, subject.graph.node(cut))
    below, above = (info.min - zero) * step, (info.max - zero) * step
    if below < low - _TINY or above > high + max(_TINY, 1e-4 * abs(high)):
        return (
            f"{quantizer.name!r} covers {below:g} to {above:g}, beyond what {cut!r} lets through "
            f"({low:g} to {high:g}), so the two do not merge."
        )
    return ""


def _bounds(subject: Subject, node: onnx.NodeProto) -> tuple[float, float]:
    if node.op_type == "Relu":
        return 0.0, np.inf
    names = [*node.input[1:], "", ""][:2]
    low, high = (scalar_constant(subject.graph, name) if name else None for name in names)
    return (-np.inf if low is None else low), (np.inf if high is None else high)
