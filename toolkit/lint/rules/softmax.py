"""A softmax that reads quantized values.

Source: microsoft/onnxruntime#17738 and the accuracy rule of this project: the input of a softmax
decides the answer, and eight bits of it buy no speed.
"""

from __future__ import annotations

from collections.abc import Iterator

from toolkit.lint.findings import Finding, advice
from toolkit.lint.runtimes import Runtime
from toolkit.lint.subject import Subject

__all__ = ["check"]


def check(subject: Subject, runtime: Runtime) -> Iterator[Finding]:
    """Yield each Softmax and LogSoftmax behind a DequantizeLinear."""
    for node in subject.graph.nodes:
        if node.op_type in ("Softmax", "LogSoftmax") and node.input[0] in subject.integers:
            yield advice(
                node.name,
                f"its input {node.input[0]!r} is rounded to 8 bits, which costs accuracy and saves "
                "nothing.",
                "take the Q/DQ pair in front of it away.",
            )
