"""Control flow, whose inner graphs lint does not read.

Source: TensorRT builds If and Loop with limits on types and shapes (operators.md of onnx-tensorrt);
an engine for a camera needs one fixed graph.
"""

from __future__ import annotations

from collections.abc import Iterator

from toolkit.lint.findings import Finding, advice
from toolkit.lint.runtimes import Runtime
from toolkit.lint.subject import Subject

__all__ = ["check"]


def check(subject: Subject, runtime: Runtime) -> Iterator[Finding]:
    """Yield the nodes that hold graphs of their own."""
    for node in subject.graph.nodes:
        inner = sum(entry.HasField("g") + len(entry.graphs) for entry in node.attribute)
        if inner:
            yield advice(
                node.name,
                f"{node.op_type} holds {inner} inner graph{'s' if inner != 1 else ''}, which were "
                "not examined.",
                "export the model without control flow.",
            )
