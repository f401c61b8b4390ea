"""Result files: one JSON object with its kind and format version, written atomically."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from toolkit.atomic import write_text
from toolkit.errors import InputError

__all__ = ["damaged", "read_record", "write_record"]


def write_record(path: Path, values: dict[str, Any], *, kind: str, version: int) -> None:
    """Write `values` to `path` with what they are and which version of the format."""
    content = {"kind": kind, "version": version, **values}
    write_text(path, json.dumps(content, allow_nan=False, ensure_ascii=False) + "\n")


def read_record(path: Path, *, kind: str, version: int, remake: str) -> dict[str, Any]:
    """Return the object in `path`, which must be of this kind and no newer than `version`.

    `remake` is the command that makes such a file. Raises InputError for a file that is missing,
    cut off, of another kind or from a newer Edgekit.
    """
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise InputError(
            f"{path} cannot be read: {error.strerror or error}.", next_command=remake
        ) from error
    except ValueError as error:
        raise InputError(
            f"{path} is not JSON, or was cut off ({error}).", next_command=remake
        ) from error
    found = values.get("kind") if isinstance(values, dict) else None
    if found != kind:
        raise InputError(
            f"{path} holds {found or 'something else'}, not {kind}.", next_command=remake
        )
    written = values.get("version")
    if not isinstance(written, int) or isinstance(written, bool) or written < 1:
        raise damaged(path, f"version {written!r}", remake=remake)
    if written > version:
        raise InputError(
            f"{path} was written by a newer Edgekit (version {written} of the format; this one "
            f"reads up to {version}).",
            next_command="pip install --upgrade edgekit",
        )
    return dict(values)


def damaged(path: Path, what: str, *, remake: str) -> InputError:
    """Return the error for a file whose values do not fit together."""
    return InputError(f"{path} is damaged or was edited ({what}).", next_command=remake)
