"""Forms that ONNX Runtime refuses or cannot fuse: FP16 or computed scales, a constant first.

Source: ONNX's operator schemas and ONNX Runtime 1.32: QuantizeLinear takes float16 from opset 19
on; its integer kernels take float32 scales only.
"""

from __future__ import annotations

from collections.abc import Iterator

from toolkit.lint.findings import Finding, in_float, refused
from toolkit.lint.runtimes import Runtime
from toolkit.lint.subject import Subject

__all__ = ["check"]

_HALF_SINCE = 19


def check(subject: Subject, runtime: Runtime) -> Iterator[Finding]:
    """Yield Q/DQ of FP16 values, and layers whose operands no integer kernel takes."""
    for node in subject.quantizers:
        if subject.type_name(node.input[1]) == "float16" and subject.opset < _HALF_SINCE:
            yield refused(
                node.name,
                f"its scale is float16, which ONNX has from opset {_HALF_SINCE} on; this is opset "
                f"{subject.opset}.",
                f"export the model at opset {_HALF_SINCE} or newer.",
            )
    for layer in subject.layers:
        operands = subject.operands[layer.name]
        held = operands.activation_integers
        if layer.op_type == "MatMul" and operands.weight_index == 0:
            yield in_float(
                layer.name,
                "its constant is the first factor; the integer kernels want it second.",
                "transpose the product.",
            )
        if held is not None and held.dequantize.input[1] not in subject.constants:
            yield in_float(
                layer.name,
                f"the scale of {held.dequantize.name!r} is computed at run time.",
                "use constant scales: calibrate the float model.",
            )
        elif held is not None and subject.type_name(held.dequantize.input[1]) == "float16":
            yield in_float(
                layer.name,
                f"{held.dequantize.name!r} has a float16 scale.",
                "quantize the FP32 form of the model for a CPU.",
            )
