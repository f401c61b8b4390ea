"""Q/DQ from ranges that somebody else chose, such as those of a calibration cache."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import onnx

from calibration.emit import Quantized, Recipe, emit
from calibration.errors import CalibrationError
from calibration.float_tensors import complete_ranges
from calibration.graph import Graph, prepare
from calibration.network import Network
from calibration.placement import place
from calibration.probes import non_negative
from calibration.schemes import Scheme
from calibration.table import CalibrationTable, Range

__all__ = ["quantize_with"]

_NO_RANGE = "the given ranges have none for a tensor it reads"


def quantize_with(
    model: onnx.ModelProto,
    ranges: Mapping[str, Range],
    *,
    scheme: Scheme,
    model_digest: str,
    method: str,
    images: tuple[str, ...] = (),
    uncalibrated: bool = False,
    partial: bool = False,
    notes: tuple[str, ...] = (),
) -> Quantized:
    """Return `model` with Q/DQ for `scheme` whose symmetric scales are those of `ranges`.

    Without images nothing is recentred, equalized or corrected, and weights are rounded to
    nearest. Where activations are unsigned, a tensor that cannot be negative gets the upper half.
    `images` are the digests of what the ranges were calibrated on, where that is known. With
    `partial`, what reads a tensor without a range stays float; else that raises CalibrationError.
    """
    ready = prepare(model)
    plain = replace(scheme, recentres=False)
    placement, graph = place(ready, plain), Graph(ready)
    known, positive = complete_ranges(ready, ranges), non_negative(graph)
    kept_float: dict[str, str] = {}
    while missing := [pair for pair in placement.pairs if pair.tensor not in known]:
        if not partial:
            break
        kept_float |= {use.node: _NO_RANGE for pair in missing for use in pair.uses}
        placement = place(ready, plain, keep_float=kept_float)
    if missing:
        raise CalibrationError(
            f"{method} has no range for {len(missing)} of the {len(placement.pairs)} tensors that "
            f"need one ({missing[0].tensor!r} is the first): was it made for another model?",
            next_command="edgekit calibrate MODEL.onnx --images DIR",
        )
    kept = {pair.tensor: known[pair.tensor] for pair in placement.pairs}
    if plain.activations == "uint8":
        kept |= {n: Range(0.0, r.high, r.method) for n, r in kept.items() if n in positive}
    blank = CalibrationTable(
        model=model_digest,
        method=method,
        samples=len(images),
        seed=0,
        ranges={},
        images=images,
        uncalibrated=uncalibrated,
        scheme=scheme.name,
    )
    network = Network(ready, graph, placement, plain.weight_bits, means={}, moments={})
    return emit(Recipe(network, plain, kept, {}, blank, notes))
