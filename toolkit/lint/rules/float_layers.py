"""Layers with no Q/DQ at all: in float, and in FP32 where the network is strongly typed.

Source: the reasons are calibration's own placement (`why_layer_stays_float`). TensorRT-RTX and
TensorRT 11 take precision from the tensors alone (migration guide 10.x to 11.x): no flag turns
what is FP32 in the file into FP16.
"""

from __future__ import annotations

from collections.abc import Iterator

from calibration.placement import why_layer_stays_float
from toolkit.lint.findings import Finding, in_float
from toolkit.lint.rules.behind_dequantize import blocker_of
from toolkit.lint.runtimes import Runtime
from toolkit.lint.subject import Subject

__all__ = ["check"]


def check(subject: Subject, runtime: Runtime) -> Iterator[Finding]:
    """Yield the layers that nobody quantized."""
    for layer in subject.layers:
        operands = subject.operands[layer.name]
        held = (operands.activation_integers, operands.weight_integers)
        tensors = (layer.input[0], layer.input[1])
        if any(held) or any(blocker_of(subject, layer, tensor) for tensor in tensors):
            continue
        why = why_layer_stays_float(subject.graph, layer, runtime.scheme)
        kind = subject.type_name(layer.input[0]) or "float"
        island = runtime.strongly_typed and bool(subject.quantizers) and kind == "float"
        reason = why or "neither of its operands is quantized"
        typed = "; it runs in FP32, for the network is strongly typed" if island else ""
        yield in_float(
            layer.name,
            f"it reads {kind} values: {reason}{typed}.",
            "make the FP16 form of the graph, then build that."
            if island
            else "calibrate the float model, unless this layer is meant to stay float.",
            severity="note" if why or not subject.quantizers else "warning",
        )
