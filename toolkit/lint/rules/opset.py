"""The ONNX opset against what the runtime reads.

Source: the opsets of `targets.generations` (docs/operators.md of onnx-tensorrt) and the limits of
calibration's schemes. TensorRT-RTX 1.7.1 built graphs of opset 10 to 25. The parser of TensorRT 8
looks at no opset number (onnx-tensorrt 8.5): it stumbles over the operators that changed since,
one by one, so the verdict here is the one that `edgekit calibrate` gives too.
"""

from __future__ import annotations

from collections.abc import Iterator

from toolkit.lint.findings import Finding, advice, refused
from toolkit.lint.runtimes import Runtime
from toolkit.lint.subject import Subject

__all__ = ["check"]


def check(subject: Subject, runtime: Runtime) -> Iterator[Finding]:
    """Yield the finding that the opset is too new."""
    if subject.opset <= runtime.opset:
        return
    fix = f"export it at opset {runtime.opset}: `edgekit export --opset {runtime.opset}`."
    message = (
        f"the graph uses opset {subject.opset}; {runtime.title} is documented up to opset "
        f"{runtime.opset}."
    )
    known = runtime.family != "tensorrt" or subject.opset <= runtime.scheme.max_opset
    yield (advice if known else refused)("", message, fix)
