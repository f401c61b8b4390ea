"""A Concat whose inputs have different scales, or are partly float.

Source: the layer table of TensorRT-RTX 1.7.1 and the optimized graphs of ONNX Runtime 1.32;
TensorRT 8 to 11: the developer guide on Concat under Q/DQ.
"""

from __future__ import annotations

from collections.abc import Iterator

from toolkit.lint.findings import Finding, in_float, refused
from toolkit.lint.integers import scalar_constant
from toolkit.lint.rules.behind_dequantize import blocker_of
from toolkit.lint.runtimes import Runtime
from toolkit.lint.subject import Subject

__all__ = ["check"]


def check(subject: Subject, runtime: Runtime) -> Iterator[Finding]:
    """Yield the layers behind a Concat that is none of integers."""
    for layer in subject.layers:
        joined = subject.graph.producer(subject.operands[layer.name].weight)
        if joined is not None and joined.op_type == "Concat":
            held = [subject.integers.get(name) for name in joined.input]
            if runtime.is_tensorrt and all(h is not None and h.constant for h in held):
                yield refused(
                    layer.name,
                    f"its weight is put together from {len(held)} dequantized ones.",
                    "store the weight as one tensor behind one DequantizeLinear.",
                )
        for tensor in (layer.input[0], layer.input[1]):
            node = blocker_of(subject, layer, tensor)
            if node is None or node.op_type != "Concat":
                continue
            scales = []
            for name in node.input:
                found = subject.integers.get(name)
                value = found and scalar_constant(subject.graph, found.dequantize.input[1])
                scales.append("float" if found is None or value is None else f"{value:g}")
            yield in_float(
                layer.name,
                f"{node.name!r} joins inputs with scales {', '.join(scales)}.",
                "give all inputs of the Concat one scale, or one pair behind it.",
            )
