"""The limits that a release is held to."""

from __future__ import annotations

import math
from dataclasses import dataclass, fields

from toolkit.errors import InputError

__all__ = ["Limits"]

_EXAMPLE = "edgekit gate runs/ --max-drop 0.5 --p99-ms 12"


@dataclass(frozen=True)
class Limits:
    """None is no limit. Raises InputError for no limit at all, and for one that says nothing."""

    max_drop: float | None = None
    """Percentage points of top-1 lost against the reference."""
    p99_ms: float | None = None
    max_mj: float | None = None
    """Millijoules per inference, above idle."""
    max_mib: float | None = None
    """Of the engine's file."""

    def __post_init__(self) -> None:
        given = {each.name: getattr(self, each.name) for each in fields(self)}
        given = {name: value for name, value in given.items() if value is not None}
        if not given:
            raise InputError(
                "The gate was given no limit: it would let everything pass.", next_command=_EXAMPLE
            )
        for name, value in given.items():
            if not math.isfinite(value) or value < 0.0 or (value == 0.0 and name != "max_drop"):
                raise InputError(
                    f"--{name.replace('_', '-')} {value:g} is no limit that an engine can meet.",
                    next_command=_EXAMPLE,
                )
