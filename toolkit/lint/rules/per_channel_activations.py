"""Activations with one scale per channel.

Source: TensorRT-RTX 1.7.1 takes them and computes the layer in float, also for a list of one
scale; NvInfer.h of TensorRT 8 to 11: per-channel scales on weights only.
"""

from __future__ import annotations

from collections.abc import Iterator

from toolkit.lint.findings import Finding, in_float, refused
from toolkit.lint.runtimes import Runtime
from toolkit.lint.subject import Subject

__all__ = ["check"]

_FIX = "give activations a single scale, without a dimension."


def check(subject: Subject, runtime: Runtime) -> Iterator[Finding]:
    """Yield the layers that read an activation with a list of scales."""
    for layer in subject.layers:
        held = subject.operands[layer.name].activation_integers
        scale = None if held is None else subject.scale(held.dequantize)
        if held is None or scale is None or held.constant:
            continue
        listed = scale.ndim > 0 if runtime.is_tensorrt else scale.size > 1
        if not listed:
            continue
        message = f"its activation has {scale.size} scales ({held.dequantize.name!r})."
        if runtime.family == "tensorrt":
            yield refused(layer.name, message, _FIX)
        else:
            yield in_float(layer.name, message, _FIX)
