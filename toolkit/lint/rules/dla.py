"""What the DLA takes, and in which precision.

Source: NVIDIA, "DLA supported layers and restrictions" (convolutions: kernels up to 32, padding
up to 31, strides up to 8, at most 8192 channels, no dynamic shapes; pooling windows up to 8; a
batch of at most 4096) and super-gradients#1760, NVIDIA/TensorRT#2222: INT8 comes from a
calibration cache, and a Q/DQ graph "cannot run in INT8 mode due to missing scale". Not run here.
"""

from __future__ import annotations

from collections.abc import Iterator

import onnx

from calibration.nodes import attribute
from toolkit.lint.findings import Finding, advice, in_float, refused
from toolkit.lint.runtimes import Runtime
from toolkit.lint.subject import LAYERS, Subject

__all__ = ["check"]

_TAKEN = frozenset(
    {
        *("Conv", "ConvTranspose", "Gemm", "Relu", "Sigmoid", "Tanh", "Clip", "LeakyRelu"),
        *("MaxPool", "AveragePool", "GlobalAveragePool", "Add", "Sub", "Mul", "Max", "Min"),
        *("Concat", "BatchNormalization", "LRN", "Slice", "Resize", "Identity", "Dropout"),
        *("Flatten", "Reshape", "Transpose", "Softmax", "Constant", "QuantizeLinear"),
        "DequantizeLinear",
    }
)
_LIMITS = {"kernel_shape": (1, 32), "pads": (0, 31), "strides": (1, 8), "dilations": (1, 32)}
_POOL_LIMITS = {"kernel_shape": (1, 8), "strides": (1, 16)}
_MAX_CHANNELS = 8192
_FALLBACK = "allow GPU fallback, or replace it in the network."


def check(subject: Subject, runtime: Runtime) -> Iterator[Finding]:
    """Yield Q/DQ, and the nodes that the DLA leaves to the GPU."""
    if subject.quantizers:
        first = subject.quantizers[0]
        yield refused(
            first.name,
            f"the graph holds {len(subject.quantizers)} Q/DQ nodes; {runtime.title} takes INT8 "
            "from a calibration cache.",
            "build the float model with its calibration cache.",
        )
    for node in subject.graph.nodes:
        reason = _why_on_gpu(subject, node)
        if not reason:
            continue
        if node.op_type in LAYERS:
            yield in_float(node.name, f"it falls back to the GPU: {reason}.", _FALLBACK)
        else:
            yield advice(node.name, f"it falls back to the GPU: {reason}.", _FALLBACK)


def _why_on_gpu(subject: Subject, node: onnx.NodeProto) -> str:
    if node.op_type not in _TAKEN:
        return f"the DLA has no {node.op_type}"
    if node.op_type in ("Conv", "ConvTranspose"):
        limits = _LIMITS
        shape = subject.graph.shape(node.input[1])
        if shape and any((n or 0) > _MAX_CHANNELS for n in shape[:2]):
            return f"its weight is {tuple(shape)}, and it takes {_MAX_CHANNELS} channels at most"
    elif node.op_type in ("MaxPool", "AveragePool"):
        limits = _POOL_LIMITS
    else:
        return ""
    for name, (low, high) in limits.items():
        outside = [n for n in attribute(node, name, []) if not low <= n <= high]
        if outside:
            return f"{name} {outside[0]} is outside {low} to {high}"
    return ""
