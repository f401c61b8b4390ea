"""Scales that are zero, negative, infinite, computed, or of the wrong number.

Source: TensorRT-RTX 1.7.1 refuses zero, negative and NaN ("Scale coefficients must all be
positive") and a wrong number of scales, takes infinity, and its builder crashes on scales computed
at run time. TensorRT 8 to 11 share those checks (QuantDequantLinearHelper of
onnx-tensorrt 8.5 to 10.1). ONNX Runtime takes every one of them and gives NaN or zeros.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import onnx

from calibration.nodes import Array, attribute
from toolkit.lint.findings import Finding, advice, refused, wrong
from toolkit.lint.runtimes import Runtime
from toolkit.lint.subject import Subject

__all__ = ["check"]

_FIX = "calibrate again: such a scale comes from a tensor that was never seen or overflowed."


def check(subject: Subject, runtime: Runtime) -> Iterator[Finding]:
    """Yield the Q and DQ nodes whose scales cannot be used."""
    for node in subject.quantizers:
        scale = subject.scale(node)
        if scale is None:
            if node.input[1] not in subject.constants:
                yield _computed(node, runtime)
            continue
        bad = [value for value in scale.reshape(-1).astype(np.float64) if not value > 0]
        if bad:
            message = f"{len(bad)} of its {scale.size} scales are not positive ({bad[0]:g})."
            yield (refused if runtime.is_tensorrt else wrong)(node.name, message, _FIX)
        elif not np.isfinite(scale).all():
            message = f"{int((~np.isfinite(scale)).sum())} of its {scale.size} scales are infinite."
            yield wrong(node.name, message, _FIX)
        else:
            yield from _count(subject, node, scale, runtime)


def _computed(node: onnx.NodeProto, runtime: Runtime) -> Finding:
    message = f"its scale {node.input[1]!r} is computed at run time."
    fix = "use constant scales: calibrate the float model."
    return (refused if runtime.is_tensorrt else advice)(node.name, message, fix)


def _count(
    subject: Subject, node: onnx.NodeProto, scale: Array, runtime: Runtime
) -> Iterator[Finding]:
    shape = subject.graph.shape(node.input[0])
    if scale.ndim == 0 or scale.size == 1 or shape is None or attribute(node, "block_size", 0):
        return
    axis = int(attribute(node, "axis", 1))
    length = shape[axis] if -len(shape) <= axis < len(shape) else None
    if scale.ndim > 1 or (length is not None and length != scale.size):
        # ONNX Runtime opens such a graph, and stops when it runs it.
        yield (refused if runtime.is_tensorrt else wrong)(
            node.name,
            f"it has scales of shape {tuple(scale.shape)} for axis {axis} of {node.input[0]!r}, "
            f"which has {length} entries.",
            "give it one scale, or one per entry of its axis.",
        )
