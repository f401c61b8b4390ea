"""int8 initializers: where TensorRT takes them.

Source: TensorRT-RTX 1.7.1 ("Quantized constant is only allowed before DQ"). TensorRT 8.5 and 8.6
read quantized weights only as float initializers behind Q and DQ (this project's scheme
tensorrt-8; IDequantizeLayer in NvInfer.h 8.6).
"""

from __future__ import annotations

from collections.abc import Iterator

from toolkit.lint.findings import Finding, refused
from toolkit.lint.runtimes import Runtime
from toolkit.lint.subject import Subject

__all__ = ["check"]


def check(subject: Subject, runtime: Runtime) -> Iterator[Finding]:
    """Yield the nodes that read an int8 initializer in a place where TensorRT takes none."""
    for node in subject.graph.nodes:
        for index, name in enumerate(node.input):
            if subject.type_name(name) != "int8" or not subject.is_initializer(name):
                continue
            if node.op_type not in ("QuantizeLinear", "DequantizeLinear"):
                yield refused(
                    node.name,
                    f"it reads the int8 initializer {name!r}; only a DequantizeLinear may.",
                    "compute it in float, in front of the QuantizeLinear.",
                )
            elif index == 0 and runtime.tensorrt < (10,) and runtime.family == "tensorrt":
                yield refused(
                    node.name,
                    f"its weight {name!r} is stored as int8; {runtime.title} takes float weights "
                    "behind QuantizeLinear and DequantizeLinear.",
                    f"calibrate with scheme {runtime.scheme.name}: `edgekit calibrate --target`.",
                )
