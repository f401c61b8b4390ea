"""Integers and scales: the one place where a float becomes an INT8 step.

Round half to even, like QuantizeLinear and TensorRT.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from calibration.errors import CalibrationError
from calibration.table import Range

__all__ = [
    "Grid",
    "bias_floor",
    "dequantize",
    "fake_quantize",
    "grid_of",
    "largest_integer",
    "quantize_bias",
    "quantize_weight",
]

_SMALLEST_SCALE = 2.0**-100
"""Below it, float32 loses bits of value / scale; a range that small is no signal."""
_BIAS_LIMIT = 2.0**30
"""Half of int32: the other half is left to the sum of products."""


@dataclass(frozen=True)
class Grid:
    """The values an activation can take: (q - zero_point) * scale, q of `dtype`."""

    scale: np.float32
    zero_point: int
    dtype: type[np.int8] | type[np.uint8]

    def round(self, values: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return `values` after quantize and dequantize."""
        info = np.iinfo(self.dtype)
        steps = np.clip(np.rint(values / self.scale) + self.zero_point, info.min, info.max)
        values = (steps - self.zero_point) * self.scale
        return values.astype(np.float32, copy=False)


def grid_of(span: Range, activations: str) -> Grid:
    """Return the grid of a range: "int8" symmetric, or "uint8" with zero exactly on the grid."""
    if not (np.isfinite(span.low) and np.isfinite(span.high)):
        raise CalibrationError(
            f"The range [{span.low}, {span.high}] is not finite.",
            next_command="edgekit calibrate MODEL.onnx --images DIR",
        )
    if activations == "int8":
        return Grid(_positive_scale(span.scale), 0, np.int8)
    low, high = min(span.low, 0.0), max(span.high, 0.0)
    scale = _positive_scale((high - low) / 255.0)
    if (high - low) / 255.0 >= _SMALLEST_SCALE and scale * np.float32(255) > np.float32(high - low):
        scale = np.nextafter(scale, np.float32(0))  # ORT absorbs Clip(0, 6) only up to 6.0
    return Grid(scale, int(np.clip(np.rint(-low / float(scale)), 0, 255)), np.uint8)


def _positive_scale(scale: float) -> np.float32:
    """Return `scale`, or 1 for a tensor that was zero throughout: zero is on every grid."""
    return np.float32(scale if scale >= _SMALLEST_SCALE else 1.0)


def largest_integer(bits: int) -> int:
    """Return the largest weight magnitude: 127, or 64 for 7 bits.

    Two products of an uint8 activation and such a weight, 2 * 255 * 64 = 32640, still fit the
    16-bit sum that x86 without VNNI forms; 2 * 255 * 127 does not.
    """
    return 64 if bits == 7 else 2 ** (bits - 1) - 1


def quantize_weight(
    weight: NDArray[np.float32],
    axis: int | None,
    bits: int,
    *,
    floor: NDArray[np.float32] | float = 0.0,
) -> tuple[NDArray[np.int8], NDArray[np.float32]]:
    """Return the integers of a weight, and its scale: one per index of `axis`, or a scalar.

    Symmetric: scale = amax / largest, integers in [-largest, largest]. A channel of zeros takes
    the smallest scale of its neighbours. No scale goes below `floor`.
    """
    largest = largest_integer(bits)
    others = None if axis is None else tuple(i for i in range(weight.ndim) if i != axis)
    amax = np.max(np.abs(weight), axis=others, initial=0.0).astype(np.float64)
    scale = np.maximum(amax / largest, floor)
    live = scale[scale >= _SMALLEST_SCALE] if np.ndim(scale) else scale.reshape(1)
    fallback = live.min() if live.size and live.min() >= _SMALLEST_SCALE else 1.0
    chosen = np.where(scale >= _SMALLEST_SCALE, scale, fallback).astype(np.float32)
    steps = np.rint(weight / _along(chosen, axis, weight.ndim))
    return np.clip(steps, -largest, largest).astype(np.int8), chosen


def dequantize(
    integers: NDArray[np.int8], scale: NDArray[np.float32], axis: int | None
) -> NDArray[np.float32]:
    """Return the float values that `integers` stand for."""
    return (integers * _along(scale, axis, integers.ndim)).astype(np.float32)


def fake_quantize(weight: NDArray[np.float32], axis: int | None, bits: int) -> NDArray[np.float32]:
    """Return a weight after quantize and dequantize: what the engine multiplies with."""
    integers, scale = quantize_weight(weight, axis, bits)
    return dequantize(integers, scale, axis)


def bias_floor(bias: NDArray[np.float32], input_scale: np.float32) -> NDArray[np.float32]:
    """Return the smallest weight scale per channel with which an int32 bias does not overflow."""
    return np.asarray(np.abs(bias) / (np.float64(input_scale) * _BIAS_LIMIT), np.float32)


def quantize_bias(
    bias: NDArray[np.float32], input_scale: np.float32, weight_scale: NDArray[np.float32]
) -> tuple[NDArray[np.int32], NDArray[np.float32]]:
    """Return the int32 bias and its scale, input scale times weight scale, per channel."""
    scale = np.broadcast_to(weight_scale * input_scale, bias.shape).astype(np.float32)
    return np.rint(bias / scale.astype(np.float64)).astype(np.int32), scale


def _along(scale: NDArray[np.float32], axis: int | None, ndim: int) -> NDArray[np.float32]:
    if axis is None:
        return np.asarray(scale)
    return np.reshape(scale, [-1 if i == axis else 1 for i in range(ndim)])
