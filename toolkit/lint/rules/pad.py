"""A Pad between the DequantizeLinear and its convolution.

Source: TensorRT-RTX 1.7.1 computes the convolution in float when the Pad fills with anything but
zeros, pads channels, is read twice, or is not right in front; zeros become the convolution's own
padding. For TensorRT 8 to 11 the same is assumed.
"""

from __future__ import annotations

from collections.abc import Iterator

from toolkit.lint.findings import Finding, in_float
from toolkit.lint.integers import scalar_constant
from toolkit.lint.rules.behind_dequantize import blocker_of
from toolkit.lint.runtimes import Runtime
from toolkit.lint.subject import Subject

__all__ = ["check"]


def check(subject: Subject, runtime: Runtime) -> Iterator[Finding]:
    """Yield the layers that a Pad keeps in float."""
    for layer in subject.layers:
        for tensor in (layer.input[0], layer.input[1]):
            pad = blocker_of(subject, layer, tensor)
            if pad is None or pad.op_type != "Pad":
                continue
            has_fill = len(pad.input) > 2 and bool(pad.input[2])
            fill = scalar_constant(subject.graph, pad.input[2]) if has_fill else 0.0
            value = "an unknown value" if fill is None else f"{fill:g}"
            readers = len(subject.graph.uses(tensor))
            yield in_float(
                layer.name,
                f"{pad.name!r} pads its dequantized input with {value} for {readers} "
                f"reader{'s' if readers != 1 else ''}.",
                "put the Pad in front of the QuantizeLinear.",
            )
