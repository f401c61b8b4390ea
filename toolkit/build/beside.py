"""The FP16 engine that lies beside an INT8 engine: what INT8 has to be better than."""

from __future__ import annotations

from pathlib import Path

from toolkit.artifacts import Engine, open_engine_file
from toolkit.errors import EdgekitError

__all__ = ["NOT_TIMED", "fp16_beside", "fp16_name"]

NOT_TIMED = "INT8 was not timed against FP16"


def fp16_name(engine: Path) -> str:
    """Return `model.fp16.rtx-4090.engine` for `model.int8.rtx-4090.engine`; "" for other names."""
    words = engine.name.split(".")
    if "int8" not in words:
        return ""
    return ".".join("fp16" if word == "int8" else word for word in words)


def fp16_beside(engine: Path) -> Engine | None:
    """Return the FP16 engine in the same folder, by its name; None where there is none to trust."""
    name = fp16_name(engine)
    if not name or not (path := engine.with_name(name)).is_file():
        return None
    try:
        found = open_engine_file(path)
    except EdgekitError:
        return None  # altered, or without a manifest: nobody asked for it
    return found if found.manifest.precision == "fp16" else None
