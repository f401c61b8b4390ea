"""Layers whose operands have different types.

Source: ONNX's own type rules; TensorRT-RTX 1.7.1 ("`input` and `kernel` must be of same type")
and ONNX Runtime ("bound to different types"). Weakly typed TensorRT casts; the file is invalid.
"""

from __future__ import annotations

from collections.abc import Iterator

from toolkit.lint.findings import Finding, refused
from toolkit.lint.runtimes import Runtime
from toolkit.lint.subject import Subject

__all__ = ["check"]


def check(subject: Subject, runtime: Runtime) -> Iterator[Finding]:
    """Yield the layers that multiply, say, float by float16."""
    for layer in subject.layers:
        kinds = [subject.type_name(name) for name in layer.input[:3] if name]
        known = sorted({kind for kind in kinds if kind})
        if len(known) > 1:
            yield refused(
                layer.name,
                f"it multiplies {' by '.join(kinds[:2])}.",
                "cast its operands to one type: make the FP16 form with `edgekit export`.",
            )
