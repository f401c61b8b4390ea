"""NVIDIA ModelOpt's ONNX quantizer, calibrated on the CPU."""

from __future__ import annotations

from pathlib import Path

import numpy as np

# In its own environment only.
from modelopt.onnx.quantization import (  # type: ignore[import-not-found]
    quantize as quantize_onnx,
)

from benchmarks.ptq_peers.feed import Feed

__all__ = ["quantize"]


def quantize(model: Path, feed: Feed, out: Path, *, setting: str, scheme: str) -> str:
    """Write `model` quantized by the method `setting` to `out`; return `scheme`."""
    quantize_onnx(
        str(model),
        quantize_mode="int8",
        calibration_data={feed.input_name: np.concatenate(list(feed))},
        calibration_method=setting,
        calibration_eps=["cpu"],
        high_precision_dtype="fp32",
        output_path=str(out),
    )
    return scheme
