"""SCHEMES: what one runtime wants of a quantized graph. Add a scheme here."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["SCHEMES", "Scheme"]

_TENSORRT = "calibration.place_tensorrt:place"
_ONNXRUNTIME = "calibration.place_onnxruntime:place"


@dataclass(frozen=True)
class Scheme:
    """One form of Q/DQ, as plain facts that placement and insertion read.

    `activations`: "int8" (symmetric, zero-point 0) or "uint8" (asymmetric).
    `weight_bits`: 7 where u8*s8 products saturate in 16 bits (x86 without VNNI), else 8.
    `weights_as`: "int8" initializers behind a DequantizeLinear, or "float" behind Q and DQ.
    `bias_as`: "float", or "int32" behind a DequantizeLinear with scale activation x weight.
    `quantize_outputs`: True where fusion needs a pair on outputs too (ONNX Runtime), not on inputs
    alone (TensorRT). `depthwise`: "int8" or "float".
    `vector_products`: "int8" or "float" for Gemm and for convolutions of a 1x1 map (classifier,
    squeeze-and-excitation). On a GPU at batch 1 they read each weight once and gain nothing from
    INT8, while their error goes straight into the logits; on a CPU they are bound by memory and
    a quarter of the bytes is a gain.
    `placer`: the "module:function" that decides the placement.
    `input_channels`: the channels of the image are padded to a multiple of it.
    `recentres`: False where a Clip must start at zero and a Pad must pad with it (DLA).
    """

    name: str
    runtime: str
    activations: str
    weight_bits: int
    weights_as: str
    bias_as: str
    quantize_outputs: bool
    depthwise: str
    max_opset: int
    vector_products: str = "float"
    placer: str = _TENSORRT
    input_channels: int = 1
    recentres: bool = True

    @property
    def shifts_activations(self) -> bool:
        """Return whether an activation may hold x - c: symmetric, and read from below zero."""
        return self.activations == "int8" and self.recentres


def _tensorrt(name: str, runtime: str, weights_as: str, depthwise: str, max_opset: int) -> Scheme:
    return Scheme(name, runtime, "int8", 8, weights_as, "float", False, depthwise, max_opset)


def _onnxruntime(name: str, runtime: str, weight_bits: int) -> Scheme:
    return Scheme(
        name,
        runtime,
        activations="uint8",
        weight_bits=weight_bits,
        weights_as="int8",
        bias_as="int32",
        quantize_outputs=True,
        depthwise="int8",
        max_opset=23,
        vector_products="int8",
        placer=_ONNXRUNTIME,
        input_channels=4,
    )


SCHEMES: dict[str, Scheme] = {
    scheme.name: scheme
    for scheme in (
        _tensorrt("tensorrt", "TensorRT 10+", "int8", "int8", 23),
        _tensorrt("tensorrt-8", "TensorRT 8.5, 8.6", "float", "int8", 17),
        _tensorrt("tensorrt-rtx", "TensorRT-RTX", "int8", "float", 23),
        _onnxruntime("onnxruntime-x86", "ONNX Runtime, x86 without VNNI", 7),
        _onnxruntime("onnxruntime-x86-vnni", "ONNX Runtime, x86 with VNNI", 8),
        _onnxruntime("onnxruntime-arm64", "ONNX Runtime, ARM64", 8),
    )
}
