"""Non-zero zero-points, which TensorRT refuses.

Source: the parser of TensorRT-RTX 1.7.1 (`shiftIsAllZeros`, `zeroPointSize == scaleSize`); for
TensorRT 8 to 11 the same lines in onnx-tensorrt 8.5, 8.6 and 10.1.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from toolkit.lint.findings import Finding, refused
from toolkit.lint.runtimes import Runtime
from toolkit.lint.subject import Subject

__all__ = ["check"]


def check(subject: Subject, runtime: Runtime) -> Iterator[Finding]:
    """Yield the Q and DQ nodes whose zero-points TensorRT refuses."""
    for node in subject.quantizers:
        zero_point, scale = subject.zero_point(node), subject.scale(node)
        if zero_point is None:
            continue
        if np.any(zero_point):
            worst = zero_point.reshape(-1)[np.argmax(np.abs(zero_point.astype(np.int64)))]
            yield refused(
                node.name,
                f"its zero-point is {int(worst)}; {runtime.title} takes 0 only (symmetric INT8).",
                f"calibrate the float model for this runtime: its scheme is {runtime.scheme.name}.",
            )
        elif scale is not None and zero_point.size != scale.size:
            yield refused(
                node.name,
                f"it has {scale.size} scales and {zero_point.size} zero-points.",
                "give it as many zero-points as scales, all 0.",
            )
