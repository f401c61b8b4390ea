"""Inputs whose size is open.

Source: TensorRT needs an optimization profile for each; `edgekit build` gives one for the batch
alone. The DLA takes none (NVIDIA, "DLA supported layers and restrictions").
"""

from __future__ import annotations

from collections.abc import Iterator

from toolkit.lint.findings import Finding, advice, refused, remark
from toolkit.lint.runtimes import Runtime
from toolkit.lint.subject import Subject

__all__ = ["check"]


def check(subject: Subject, runtime: Runtime) -> Iterator[Finding]:
    """Yield the graph inputs with open sizes."""
    for name in subject.graph.inputs:
        shape = subject.graph.shape(name)
        open_axes = [0] if shape is None else [i for i, n in enumerate(shape) if not n]
        if not open_axes:
            continue
        if shape is None or open_axes != [0]:
            what = "no shape at all" if shape is None else f"open sizes on axes {open_axes}"
            build = refused if runtime.family == "dla" else advice
            yield build(
                "",
                f"input {name!r} has {what}; {runtime.title} builds for fixed picture sizes.",
                "export the model with a fixed height and width.",
            )
        elif runtime.family == "dla":
            yield refused(
                "",
                f"input {name!r} has an open batch, which the DLA does not take.",
                "export the model with a fixed batch.",
            )
        else:
            yield remark(
                "",
                f"input {name!r} has an open batch: the engine is tuned for one size of it.",
                "name the sizes: `edgekit build MODEL.onnx --target NAME --batch 1:4:8`.",
            )
