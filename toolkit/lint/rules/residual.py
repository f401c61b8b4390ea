"""Residual Adds whose skip branch is read in float.

Source: NVIDIA/TensorRT#1992: the Add fuses into the INT8 convolution only when its other operand
is read through Q/DQ; calibration's placement (`residual_uses`) says which operand that is. In
TensorRT-RTX 1.7.1 the convolution stays INT8 either way.
"""

from __future__ import annotations

from collections.abc import Iterator

from calibration.place_tensorrt import residual_uses
from toolkit.lint.findings import Finding, advice
from toolkit.lint.runtimes import Runtime
from toolkit.lint.subject import Subject

__all__ = ["check"]


def check(subject: Subject, runtime: Runtime) -> Iterator[Finding]:
    """Yield the Adds that cannot fuse into the INT8 convolution in front of them."""
    quantized = frozenset(
        layer.name
        for layer in subject.layers
        if subject.operands[layer.name].activation_integers is not None
        and subject.operands[layer.name].weight_integers is not None
    )
    for use, tensor in residual_uses(subject.graph, quantized, {}, {}):
        made_by = subject.graph.producer(tensor)
        if tensor not in subject.integers and made_by is not None:
            yield advice(
                use.node,
                f"its operand {tensor!r} is read in float, so the Add does not fuse into its INT8 "
                "convolution.",
                f"read {tensor!r} through the Q/DQ pair that its other readers have.",
            )
