"""Channel counts that INT8 kernels pad.

Source: the INT8 formats of TensorRT (kCHW4, kCHW16 for the DLA, kCHW32) in NvInfer.h; ONNX
Runtime's kernels take channels by four (`Scheme.input_channels`). Any count is accepted and runs
in INT8: what is padded is computed for nothing.
"""

from __future__ import annotations

from collections.abc import Iterator

from calibration.nodes import attribute
from toolkit.lint.findings import Finding, remark
from toolkit.lint.runtimes import Runtime
from toolkit.lint.subject import Subject

__all__ = ["check"]

_BLOCKS = (4, 16, 32)


def check(subject: Subject, runtime: Runtime) -> Iterator[Finding]:
    """Yield the quantized convolutions whose channels are no multiple of what kernels take."""
    for layer in subject.layers:
        operands = subject.operands[layer.name]
        shape = subject.graph.shape(layer.input[1])
        quantized = None not in (operands.activation_integers, operands.weight_integers)
        if layer.op_type != "Conv" or not quantized or not shape or len(shape) < 2:
            continue
        if int(attribute(layer, "group", 1)) > 1 or shape[0] is None or shape[1] is None:
            continue
        sizes = (shape[1], shape[0])
        wanted = _BLOCKS if runtime.is_tensorrt else _BLOCKS[:1]
        smallest = next((b for b in wanted if any(size % b for size in sizes)), None)
        if smallest is None:
            continue
        block = wanted[-1]
        padded = [-(-size // block) * block for size in sizes]
        share = 1 - sizes[0] * sizes[1] / (padded[0] * padded[1])
        yield remark(
            layer.name,
            f"{sizes[0]} to {sizes[1]} channels are no multiple of {smallest}; in blocks of "
            f"{block}, {share:.0%} of its products are padding.",
            f"choose multiples of {block} where you can train the network again.",
        )
