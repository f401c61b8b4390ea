"""A float model and its TensorRT calibration cache: INT8 where Q/DQ is not read (DLA).

The pair is `model.dla.onnx` and `model.dla.cache`. The model carries the digest of the cache in its
metadata; `model.dla.cache.json` names both digests and what they were made from.

No activation is recentred here: the DLA clips from zero up and pads with zeros only (NVIDIA, "DLA
Supported Layers and Restrictions"), so a Clip(-c, 6 - c) behind a Pad(-c) would leave it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from calibration.collect import Batches
from calibration.emit import Quantized
from calibration.float_tensors import complete_ranges, float_tensors
from calibration.graph import Graph, prepare
from calibration.schemes import Scheme
from calibration.skeleton import float_skeleton
from calibration.tensorrt_cache import cache_from_bytes, cache_from_ranges
from targets.decision import Decision
from toolkit.artifacts import OnnxModel
from toolkit.atomic import replace_file
from toolkit.calibrate.cache import (
    cache_manifest_path,
    cache_path,
    open_cache,
    open_pair,
    write_cache_manifest,
)
from toolkit.errors import InputError, StaleError
from toolkit.int8_model import int8_contract, set_metadata, table_path
from toolkit.onnx_model.file import parse_onnx, write_onnx
from toolkit.shell import quoted

__all__ = [
    "CACHE_KEY",
    "CachePair",
    "cache_of",
    "ranges_note",
    "scheme_for_cache",
    "write_pair",
]

CACHE_KEY = "edgekit.calibration_cache"
"""Metadata of the float model: the SHA-256 of its calibration cache."""


@dataclass(frozen=True)
class CachePair:
    """A float model, its cache, and the table that both were made from."""

    model: OnnxModel
    cache: Path
    table: Path
    tensors: int


def scheme_for_cache(scheme: Scheme) -> Scheme:
    """Return `scheme` for a DLA: nothing recentred, and INT8 for every layer it has."""
    return replace(scheme, recentres=False, vector_products="int8", depthwise="int8")


def cache_of(model: OnnxModel) -> Path | None:
    """Return the calibration cache of a model that names one; None for any other model.

    Model, cache and manifest must name each other's digests. Raises InputError when one of them is
    missing or damaged, StaleError when they do not belong together, calibration.CalibrationError.
    """
    metadata = {entry.key: entry.value for entry in parse_onnx(model.path).metadata_props}
    if CACHE_KEY not in metadata:
        return None
    cache = cache_path(model.path)
    remake = "edgekit calibrate MODEL.onnx --images DIR --target NAME --dla"
    for part in (cache, cache_manifest_path(cache)):
        if not part.exists():
            raise InputError(
                f"{model.path} is one of a pair, and {part.name} does not lie beside it.",
                next_command=f"ls {quoted(model.path.parent)}",
            )
    manifest = open_pair(cache)
    if (manifest["model"], manifest["model_digest"]) != (model.path.name, model.digest):
        raise StaleError(
            f"{cache} belongs to {manifest['model']} (SHA-256 {manifest['model_digest'][:12]}), "
            f"not to {model.path} ({model.digest[:12]}).",
            next_command=remake,
        )
    if open_cache(cache).digest != metadata[CACHE_KEY]:
        raise StaleError(
            f"{model.path} names another calibration cache (SHA-256 {metadata[CACHE_KEY][:12]}) "
            f"than {cache.name}.",
            next_command=remake,
        )
    return cache


def ranges_note(cache: bytes) -> str:
    """Return what a manifest says of the content of the calibration cache that it was built with.

    Raises calibration.CalibrationError.
    """
    found = cache_from_bytes(cache, where="the calibration cache")
    return (
        f"INT8 ranges of {len(found.scales)} tensors from a calibration cache written for "
        f"TensorRT {found.tensorrt or 'unknown'} (SHA-256 {found.digest[:12]})"
    )


def write_pair(
    made: Quantized,
    source: OnnxModel,
    out: Path,
    *,
    batches: Batches | None,
    decision: Decision,
    progress: Callable[[int], None] | None = None,
) -> CachePair:
    """Write the float graph of `made`, and the cache of all its tensors for that TensorRT.

    Weights are those that INT8 rounds to, equalized, with corrected biases; a class activation map
    is left out, because a DLA has not its operators. Without
    `batches` only given ranges count. Raises
    CalibrationError when a tensor has no range, ModelError, MachineError.
    """
    tensorrt = decision.tensorrt or ""
    model = prepare(float_skeleton(made.model))
    ranges = complete_ranges(model, made.table.ranges, batches=batches, progress=progress)
    cache = cache_from_ranges(ranges, tensors=float_tensors(Graph(model)), tensorrt=tensorrt)
    full = replace(made, table=replace(made.table, ranges=ranges))
    set_metadata(model, CACHE_KEY, cache.digest)
    contract = int8_contract(source, full).with_changes(precision="fp32", activation_map="")
    where = cache_path(out)
    with replace_file(table_path(out)) as table, replace_file(where) as text:
        table.write_text(full.table.to_json(), encoding="utf-8")
        text.write_bytes(cache.to_text().encode("utf-8", "surrogateescape"))
        written = write_onnx(model, out, contract)
    values = {
        "cache": where.name,
        "cache_digest": cache.digest,
        "model": out.name,
        "model_digest": written.digest,
        "table": table_path(out).name,
        "table_digest": full.table.digest,
        "tensorrt": tensorrt,
        "target": decision.target,
    }
    write_cache_manifest(where, values)
    return CachePair(written, where, table_path(out), len(cache.scales))
