"""Edgekit as a tool of the comparison: what `edgekit calibrate` does, on the common feed."""

from __future__ import annotations

from pathlib import Path

import onnx

from benchmarks.ptq_peers.feed import Feed
from calibration.methods import METHODS
from calibration.quantize import quantize as quantize_model
from calibration.schemes import SCHEMES
from targets import get
from targets.support import decide
from toolkit.artifacts import digest_of_file
from toolkit.calibrate.pixel_levels import levels_of
from toolkit.onnx_model.file import read_onnx

__all__ = ["quantize"]

_BATCH = 8  # that of `edgekit calibrate`


def quantize(model: Path, feed: Feed, out: Path, *, setting: str, scheme: str) -> str:
    """Write `model` quantized to `out`; return the scheme.

    `setting` is an effort, or the name of a method for every tensor.
    """
    wanted = decide(get("cpu"), precision="int8").scheme if scheme == "cpu" else scheme
    made = quantize_model(
        read_onnx(model),
        lambda: feed.batches(_BATCH),
        scheme=SCHEMES[wanted],
        method=setting if setting in METHODS else "auto",
        effort="fast" if setting in METHODS else setting,
        levels=levels_of(feed.preprocess),
        model_digest=digest_of_file(model),
    )
    onnx.save(made.model, str(out))
    return wanted
