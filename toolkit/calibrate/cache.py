"""Calibration caches on disk: read with their manifest, and laid beside other sets of scales."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from calibration.scale_diff import ScaleDiff, diff_scales
from calibration.skeleton import qdq_ranges
from calibration.table import Range, table_from_json
from calibration.tensorrt_cache import (
    TensorRTCache,
    cache_from_bytes,
    looks_like_cache,
    ranges_from_cache,
)
from toolkit.artifacts import digest_of_file
from toolkit.errors import EdgekitError, InputError, StaleError
from toolkit.onnx_model.file import read_onnx
from toolkit.record_file import damaged, read_record, write_record
from toolkit.shell import quoted

__all__ = [
    "cache_manifest_path",
    "cache_path",
    "diff_files",
    "is_cache",
    "open_cache",
    "open_pair",
    "pair_of_table",
    "ranges_from_file",
    "write_cache_manifest",
]

_KIND = "edgekit calibration cache"
_VERSION = 1
_REMAKE = "edgekit calibrate MODEL.onnx --images DIR --target NAME --dla"


def cache_path(model: Path) -> Path:
    """Return where the cache of `model.dla.onnx` lies: `model.dla.cache`."""
    return model.with_name(f"{model.name.removesuffix('.onnx')}.cache")


def cache_manifest_path(cache: Path) -> Path:
    """Return where the manifest of a cache lies: its name plus `.json`."""
    return cache.with_name(f"{cache.name}.json")


def write_cache_manifest(cache: Path, values: dict[str, Any]) -> None:
    """Write what a cache belongs to beside it, atomically."""
    write_record(cache_manifest_path(cache), values, kind=_KIND, version=_VERSION)


def is_cache(path: Path) -> bool:
    """Return whether a file is, or was meant to be, a calibration cache."""
    if path.suffix in (".cache", ".calib"):
        return True
    try:
        with path.open("rb") as file:
            return looks_like_cache(file.read(8))
    except OSError:
        return False  # whoever reads it says why it cannot


def open_cache(path: Path) -> TensorRTCache:
    """Return the calibration cache in `path`. Raises InputError, calibration.CalibrationError."""
    try:
        content = path.read_bytes()
    except OSError as error:
        raise InputError(
            f"{path} cannot be read: {error.strerror or error}.",
            next_command=f"ls -l {quoted(path)}",
        ) from error
    return cache_from_bytes(content, where=str(path))


def open_pair(cache: Path) -> dict[str, Any]:
    """Return the manifest of a cache, both files checked against it; {} where there is none.

    Raises StaleError when the cache or the model beside it is not the one the manifest names.
    """
    where = cache_manifest_path(cache)
    if not where.exists():
        return {}
    found = read_record(where, kind=_KIND, version=_VERSION, remake=_REMAKE)
    for part in ("cache", "model"):
        name, digest = found.get(part), found.get(f"{part}_digest")
        if not isinstance(name, str) or Path(name).name != name or not isinstance(digest, str):
            raise damaged(where, part, remake=_REMAKE)
        path = cache if part == "cache" else cache.with_name(name)
        if path.exists() and digest_of_file(path) != digest:
            raise StaleError(
                f"{path} is not the {part} that {where.name} describes: the two no longer belong "
                "together.",
                next_command=_REMAKE,
            )
    return found


def pair_of_table(table: Path, digest: str) -> dict[str, Any]:
    """Return the manifest, in the folder of `table`, of the cache made with it; {} without one.

    `digest` is that of the table: a manifest that names another one is an older table's.
    """
    for where in sorted(table.parent.glob("*.cache.json")):
        try:
            found = open_pair(where.with_name(where.name.removesuffix(".json")))
        except EdgekitError:
            continue  # damaged or altered: nobody asked for this file
        if (found.get("table"), found.get("table_digest")) == (table.name, digest):
            return found
    return {}


def ranges_from_file(path: Path) -> dict[str, Range]:
    """Return the ranges in a calibration cache, a calibration table or a Q/DQ model.

    Raises InputError, ModelError and calibration.CalibrationError.
    """
    if is_cache(path):
        return ranges_from_cache(open_cache(path), where=str(path))
    if path.suffix == ".json":
        return table_from_json(_text(path), where=str(path)).ranges
    found = qdq_ranges(read_onnx(path))
    if not found:
        raise InputError(
            f"{path} holds no QuantizeLinear, so it says nothing about ranges.",
            next_command="edgekit calibrate MODEL.onnx --images DIR",
        )
    return found


def diff_files(a: Path, b: Path) -> ScaleDiff:
    """Return how the symmetric scales in `b` differ from those in `a`.

    Either is a calibration cache, a calibration table or a Q/DQ model.
    """
    return diff_scales(_scales(a), _scales(b))


def _scales(path: Path) -> dict[str, float]:
    if is_cache(path):
        return open_cache(path).scales  # an infinite scale is worth showing here
    return {name: span.scale for name, span in ranges_from_file(path).items()}


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(
            f"{path} cannot be read as text ({error}).", next_command=f"ls -l {quoted(path)}"
        ) from error
