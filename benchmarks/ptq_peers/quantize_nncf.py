"""NNCF's post-training quantization of an ONNX model, with fast or full bias correction.

By itself it chooses uint8 for activations that are never negative, which no TensorRT takes on a
GPU; the settings ending in -s8 ask for signed ones.
"""

from __future__ import annotations

from pathlib import Path

import nncf  # type: ignore[import-not-found]  # in its own environment only
import onnx
from nncf.quantization.advanced_parameters import (  # type: ignore[import-not-found]
    AdvancedQuantizationParameters,
    QuantizationParameters,
)

from benchmarks.ptq_peers.feed import Feed

__all__ = ["quantize"]


def quantize(model: Path, feed: Feed, out: Path, *, setting: str, scheme: str) -> str:
    """Write `model` quantized as `setting` says to `out`; return `scheme`."""
    correction, _, signed = setting.partition("-")
    activations = QuantizationParameters(signedness_to_force=True if signed else None)
    made = nncf.quantize(
        onnx.load(str(model)),
        nncf.Dataset(feed, lambda image: {feed.input_name: image}),
        subset_size=len(feed),
        fast_bias_correction=correction == "fast",
        advanced_parameters=AdvancedQuantizationParameters(
            activations_quantization_params=activations
        ),
    )
    onnx.save(made, str(out))
    return scheme
