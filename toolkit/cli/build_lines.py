"""What `edgekit build` says of an engine, beside the FP16 engine of the same model."""

from __future__ import annotations

from typing import Any

from toolkit.artifacts import Engine
from toolkit.build.beside import fp16_beside
from toolkit.build.guard import DOES_NOT_BEAT
from toolkit.cli.outcome import Outcome

__all__ = ["build_outcome"]


def build_outcome(engine: Engine) -> Outcome:
    """Return the result line and values; INT8 that does not beat FP16 is said on the line."""
    manifest = engine.manifest
    fp16 = fp16_beside(engine.path)
    beaten = [note for note in manifest.notes if note.startswith(DOES_NOT_BEAT)]
    line = f"{engine.path}  {manifest.precision}, {_counts(engine)}"
    if fp16 is not None:
        line += f"; FP16 beside it: {_counts(fp16)}"
    return Outcome(
        "; ".join([line, *beaten]),
        {
            "engine": str(engine.path),
            "target": manifest.target,
            "backend": manifest.backend,
            "precision": manifest.precision,
            **_figures(engine),
            "seconds": round(manifest.seconds, 2),
            "digest": manifest.engine_digest,
            "fp16": None if fp16 is None else {"engine": str(fp16.path), **_figures(fp16)},
            "notes": list(manifest.notes),
        },
        details=manifest.notes,
    )


def _counts(engine: Engine) -> str:
    manifest = engine.manifest
    size = engine.path.stat().st_size
    return (
        f"{manifest.int8_convs} INT8 and {manifest.float_convs} float convolutions, "
        f"{manifest.kernels} kernels, {size / 2**20:.1f} MiB"
    )


def _figures(engine: Engine) -> dict[str, Any]:
    return {
        "int8_convs": engine.manifest.int8_convs,
        "float_convs": engine.manifest.float_convs,
        "kernels": engine.manifest.kernels,
        "bytes": engine.path.stat().st_size,
    }
