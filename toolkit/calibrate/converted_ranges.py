"""From a calibration cache to Q/DQ and from Q/DQ to a cache: the ranges are kept."""

from __future__ import annotations

from pathlib import Path

import onnx

from calibration.emit import Quantized
from calibration.given_ranges import quantize_with
from calibration.graph import Graph
from calibration.repair.pixels import without_pixel_codes
from calibration.schemes import Scheme
from calibration.skeleton import float_skeleton, qdq_ranges
from calibration.tensorrt_cache import ranges_from_cache
from toolkit.artifacts import OnnxModel
from toolkit.calibrate.cache import open_cache, open_pair
from toolkit.contract import UNCALIBRATED
from toolkit.errors import InputError
from toolkit.onnx_model.file import read_onnx
from toolkit.shell import quoted

__all__ = ["is_quantized", "quantized_from_cache", "quantized_from_qdq"]

_UNKNOWN = ": which images they were calibrated on is not known, so they may be scored, too"


def is_quantized(model: onnx.ModelProto) -> bool:
    """Return whether a model holds Q/DQ."""
    return any(node.op_type == "QuantizeLinear" for node in model.graph.node)


def quantized_from_cache(source: OnnxModel, cache: Path, scheme: Scheme) -> Quantized:
    """Return the float model of `source` with Q/DQ at the scales of `cache`.

    Raises InputError when the cache was written with another model, and
    calibration.CalibrationError when it has no scale for a tensor.
    """
    manifest = open_pair(cache)
    if manifest and manifest.get("model_digest") != source.digest:
        beside = cache.with_name(str(manifest["model"]))
        raise InputError(
            f"{cache} was written with {manifest['model']} (SHA-256 "
            f"{str(manifest['model_digest'])[:12]}), whose weights and activations are equalized; "
            f"{source.path} is another model.",
            next_command=f"edgekit calibrate {quoted(beside)} --from-cache {quoted(cache)}",
        )
    images = source.contract.calibration_images if manifest else ()
    return quantize_with(
        read_onnx(source.path),
        ranges_from_cache(open_cache(cache), where=str(cache)),
        scheme=scheme,
        model_digest=source.digest,
        method=cache.name,
        images=images,
        uncalibrated=source.contract.calibration == UNCALIBRATED,
        notes=(f"ranges from {cache.name}{'' if images else _UNKNOWN}",),
    )


def quantized_from_qdq(
    source: OnnxModel, scheme: Scheme, *, images: tuple[str, ...] = ()
) -> Quantized:
    """Return the Q/DQ model of `source` in the form that a cache is written from.

    `images` are the digests of those that its missing ranges will be measured on.
    Raises InputError when its activations are recentred, which no cache can say.
    """
    model = read_onnx(source.path)
    if _recentred(model):
        raise InputError(
            f"The activations of {source.path} are recentred around zero: a calibration cache "
            "cannot say that. Calibrate the float model it was made from.",
            next_command="edgekit calibrate MODEL.onnx --images DIR --target NAME --dla",
        )
    floats = float_skeleton(model)
    return quantize_with(
        without_pixel_codes(floats) if source.contract.scheme else floats,
        qdq_ranges(model),
        scheme=scheme,
        model_digest=source.digest,
        method=source.path.name,
        images=tuple(dict.fromkeys((*source.contract.calibration_images, *images))),
        uncalibrated=source.contract.calibration == UNCALIBRATED,
        partial=True,
        notes=(f"ranges from the Q/DQ of {source.path.name}",),
    )


def _recentred(model: onnx.ModelProto) -> bool:
    graph = Graph(model)
    lows = (
        graph.constant(node.input[1])
        for node in graph.nodes
        if node.op_type == "Clip" and len(node.input) > 1
    )
    return any(low is not None and float(low) < 0.0 for low in lows)
