"""`edgekit inspect`: what a file is, where it came from and whether it runs here.

Reads any engine's manifest, ONNX file, calibration table, cache and bundle; needs no TensorRT.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import onnx

from calibration.table import CalibrationTable, table_from_json
from toolkit.artifacts import Engine, digest_of_file, manifest_path, open_engine_file
from toolkit.bundle_facts import BundleFacts, bundle_facts, is_bundle
from toolkit.calibrate.cache import is_cache
from toolkit.calibrate.cache_facts import CacheFacts, cache_facts
from toolkit.errors import InputError, ModelError
from toolkit.model_facts import ModelFacts, model_facts
from toolkit.onnx_model.file import is_bare_engine, parse_onnx
from toolkit.runtime.fit import why_not_here
from toolkit.shell import quoted

__all__ = ["Inspection", "inspect"]

_MAX_TABLE_BYTES = 1 << 28


@dataclass(frozen=True)
class Inspection:
    """A file and one of: a model's facts, an engine with why it does not run here, a table."""

    path: Path
    kind: str
    """"model", "engine", "calibration table", "calibration cache" or "bundle"."""
    bytes: int
    digest: str
    model: ModelFacts | None = None
    engine: Engine | None = None
    why_not_here: str = ""
    table: CalibrationTable | None = None
    cache: CacheFacts | None = None
    bundle: BundleFacts | None = None

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON values; keys that do not apply to this kind of file are left out."""
        values: dict[str, Any] = {
            "path": str(self.path),
            "kind": self.kind,
            "bytes": self.bytes,
            "digest": self.digest,
        }
        if self.model is not None:
            values |= asdict(self.model)
            contract = self.model.contract
            values["contract"] = contract.to_dict() if contract else None
        if self.engine is not None:
            values |= {
                "manifest": asdict(self.engine.manifest),
                "runs_here": not self.why_not_here,
                "why_not_here": self.why_not_here,
            }
        if self.table is not None:
            values |= {
                "method": self.table.method,
                "samples": self.table.samples,
                "seed": self.table.seed,
                "effort": self.table.effort,
                "scheme": self.table.scheme,
                "model": self.table.model,
                "ranges": len(self.table.ranges),
                "images": len(self.table.images),
                "uncalibrated": self.table.uncalibrated,
                "explicit_shifts": self.table.explicit_shifts,
                "notes": list(self.table.notes),
            }
        if self.cache is not None:
            values |= self.cache.to_dict()
        if self.bundle is not None:
            values |= self.bundle.to_dict()
        return values

    def lines(self) -> list[str]:
        """Return what a person wants to know, the file itself first."""
        first = (
            f"{self.path}  {self.kind}, {self.bytes / 2**20:.1f} MiB, SHA-256 {self.digest[:12]}"
        )
        if self.model is not None:
            return [first, *self.model.lines()]
        if self.engine is not None:
            return [first, *_engine_lines(self.engine, self.why_not_here)]
        if self.cache is not None:
            return [first, *self.cache.lines()]
        if self.bundle is not None:
            return [first, *self.bundle.lines()]
        return [first, *_table_lines(self.table)] if self.table is not None else [first]


def inspect(path: Path) -> Inspection:
    """Return what `path` is. Raises InputError when it is nothing of ours, and StaleError."""
    if path.name.endswith(".json") and path.with_name(path.name[:-5]).exists():
        path = path.with_name(path.name[:-5])  # a manifest: inspect what it describes
    if is_bundle(path):
        facts = bundle_facts(path)
        return Inspection(path, "bundle", path.stat().st_size, digest_of_file(path), bundle=facts)
    if is_cache(path):
        found = cache_facts(path)
        digest = digest_of_file(path)
        size = path.stat().st_size
        return Inspection(path, "calibration cache", size, digest, cache=found)
    if manifest_path(path).exists() or path.suffix in (".engine", ".plan"):
        engine = open_engine_file(path)
        return Inspection(
            path,
            "engine",
            path.stat().st_size,
            engine.manifest.engine_digest,
            engine=engine,
            why_not_here=why_not_here(engine),
        )
    digest = digest_of_file(path)
    size = path.stat().st_size
    if path.suffix == ".json":
        return Inspection(path, "calibration table", size, digest, table=_read_table(path, size))
    model = _parsed(path)
    if is_bare_engine(model):
        open_engine_file(path)  # says that the manifest is missing, and how to build it again
    return Inspection(path, "model", size, digest, model=model_facts(model, path))


def _parsed(path: Path) -> onnx.ModelProto:
    try:
        return parse_onnx(path)
    except ModelError as error:
        if path.suffix.lower() == ".onnx":
            raise
        raise InputError(error.message, next_command=f"file {quoted(path)}") from error


def _read_table(path: Path, size: int) -> CalibrationTable:
    if size > _MAX_TABLE_BYTES:
        raise InputError(
            f"{path} is {size / 2**20:.0f} MiB: no calibration table is that large.",
            next_command=f"ls -l {quoted(path)}",
        )
    try:
        return table_from_json(path.read_text(encoding="utf-8"), where=str(path))
    except UnicodeDecodeError as error:
        raise InputError(
            f"{path} is not text, so it is no calibration table.",
            next_command=f"file {quoted(path)}",
        ) from error


def _engine_lines(engine: Engine, why_not: str) -> list[str]:
    manifest = engine.manifest
    sms = ", ".join(f"{sm // 10}.{sm % 10}" for sm in manifest.sms)
    return [
        f"  {manifest.precision} for {manifest.target}{f' (SM {sms})' if sms else ''}, built with "
        f"{manifest.built_with} ({manifest.built_on}) in {manifest.seconds:.1f} s",
        f"  {manifest.int8_convs} INT8 and {manifest.float_convs} float convolutions, "
        f"{manifest.kernels} kernels, from ONNX {manifest.onnx_digest[:12]}",
        *(f"  note: {note}" for note in manifest.notes),
        f"  does not run here: it {why_not}" if why_not else "  runs here",
    ]


def _table_lines(table: CalibrationTable) -> list[str]:
    lines = [
        f"  {len(table.ranges)} ranges by {table.method} ({table.effort}) from {table.samples} "
        f"samples, seed {table.seed}, of ONNX {table.model[:12]}"
    ]
    if table.uncalibrated:
        lines.append("  UNCALIBRATED: its ranges come from random data")
    if table.explicit_shifts:
        lines.append("  explicit shifts: activations are recentred by a Sub each")
    return lines + [f"  note: {note}" for note in table.notes]
