"""ONNX Runtime's `quantize_static`, in the symmetric form that TensorRT takes."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from onnxruntime.quantization import (
    CalibrationDataReader,
    CalibrationMethod,
    QuantFormat,
    QuantType,
    quantize_static,
)
from onnxruntime.quantization.shape_inference import quant_pre_process

from benchmarks.ptq_peers.feed import Feed

__all__ = ["quantize"]

_METHODS = {
    "minmax": CalibrationMethod.MinMax,
    "percentile": CalibrationMethod.Percentile,
    "entropy": CalibrationMethod.Entropy,
}


class _Reader(CalibrationDataReader):  # type: ignore[misc]  # onnxruntime carries no types
    def __init__(self, feed: Feed) -> None:
        self._name = feed.input_name
        self._images: Iterator[Any] = iter(feed)

    def get_next(self) -> dict[str, Any] | None:
        image = next(self._images, None)
        return None if image is None else {self._name: image}


def quantize(model: Path, feed: Feed, out: Path, *, setting: str, scheme: str) -> str:
    """Write `model` quantized by the method `setting` to `out`; return `scheme`."""
    prepared = out.with_suffix(".prepared.onnx")
    quant_pre_process(str(model), str(prepared))
    quantize_static(
        str(prepared),
        str(out),
        _Reader(feed),
        quant_format=QuantFormat.QDQ,
        per_channel=True,
        activation_type=QuantType.QInt8,
        weight_type=QuantType.QInt8,
        calibrate_method=_METHODS[setting],
        # TensorRT takes neither zero-points nor an int32 bias.
        extra_options={"ActivationSymmetric": True, "WeightSymmetric": True, "QuantizeBias": False},
    )
    return scheme
