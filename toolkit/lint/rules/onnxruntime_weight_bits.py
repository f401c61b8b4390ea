"""8-bit weights on an x86 CPU without VNNI.

Source: microsoft/onnxruntime#12072; pairs of u8*s8 products are added in 16 bits there and
saturate. The scheme of the target says how many bits are safe.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from toolkit.lint.findings import Finding, advice
from toolkit.lint.runtimes import Runtime
from toolkit.lint.subject import Subject

__all__ = ["check"]


def check(subject: Subject, runtime: Runtime) -> Iterator[Finding]:
    """Yield the layers whose weights use more bits than the CPU adds safely."""
    bits = runtime.scheme.weight_bits
    limit = 2 ** (bits - 1)
    for layer in subject.layers:
        held = subject.operands[layer.name].weight_integers
        values = None if held is None else subject.graph.constant(held.dequantize.input[0])
        if bits == 8 or held is None or values is None or values.dtype != np.int8:
            continue
        largest = int(np.abs(values.astype(np.int16)).max(initial=0))
        if largest > limit:
            yield advice(
                layer.name,
                f"its weights reach {largest}; on a CPU without VNNI sums of products saturate "
                f"above {limit}.",
                f"calibrate for this CPU: scheme {runtime.scheme.name} keeps weights to {bits} "
                "bits.",
            )
