"""Pairs that round more often than needed: two in a row, or between a layer and its activation.

Source: NVIDIA's guidance on Q/DQ placement (developer guide, "Q/DQ layer-placement
recommendations"): a pair between convolution, Add and activation splits the fused kernel.
"""

from __future__ import annotations

from collections.abc import Iterator

from toolkit.lint.findings import Finding, advice
from toolkit.lint.runtimes import Runtime
from toolkit.lint.subject import LAYERS, Subject

__all__ = ["check"]

_ACTIVATIONS = ("Relu", "Clip", "LeakyRelu", "Sigmoid", "HardSwish", "HardSigmoid", "Add")


def check(subject: Subject, runtime: Runtime) -> Iterator[Finding]:
    """Yield the quantizers of values that were quantized just before, or are about to be."""
    for node in subject.quantizers:
        if node.op_type != "QuantizeLinear" or node.input[0] in subject.constants:
            continue
        made_by = subject.graph.producer(node.input[0])
        if made_by is None:
            continue
        if made_by.op_type == "DequantizeLinear":
            yield advice(
                node.name,
                f"it quantizes what {made_by.name!r} has just dequantized: the second rounding "
                "costs accuracy for nothing.",
                "remove one of the two pairs.",
            )
        elif made_by.op_type in LAYERS and runtime.is_tensorrt:
            split = _activation_behind(subject, node.output[0])
            if split:
                yield advice(
                    node.name,
                    f"it stands between {made_by.name!r} and its {split}: they no longer fuse.",
                    f"move the pair behind the {split}.",
                )


def _activation_behind(subject: Subject, integers: str) -> str:
    """Return the operator behind the DequantizeLinear of a pair, where it could have fused."""
    readers = subject.graph.readers(integers)
    if len(readers) != 1 or readers[0].op_type != "DequantizeLinear":
        return ""
    behind = subject.graph.readers(readers[0].output[0])
    single = len(behind) == 1 and behind[0].op_type in _ACTIVATIONS
    return behind[0].op_type if single and behind[0].op_type != "Add" else ""
