"""JetPack and TensorRT version numbers as tuples, and the ranges the catalog writes them in."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache

from targets.errors import TargetError

__all__ = ["Version", "VersionRange", "ranges_from_text", "text_from_version", "version_from_text"]

Version = tuple[int, ...]


def version_from_text(text: str, *, what: str) -> Version:
    """Return the leading numbers: "10.3.0.30-1+cuda12.5" is (10, 3, 0, 30), "11.x" is (11,).

    `what` names the thing in the error: "JetPack", "TensorRT".
    """
    match = re.match(r"\s*(?:JetPack|JP|TensorRT|R|v)?\s*(\d+(?:\.\d+)*)", text, re.IGNORECASE)
    if match is None:
        raise TargetError(
            f"{text!r} is not a {what} version such as {'6.2' if what == 'JetPack' else '10.3'}.",
            next_command="edgekit doctor",
        )
    return tuple(int(part) for part in match[1].split("."))


def text_from_version(version: Version) -> str:
    """Return (10, 3, 0) as "10.3.0"."""
    return ".".join(str(part) for part in version)


@dataclass(frozen=True)
class VersionRange:
    """From `low` up to `high`, both included; `high` is None where newer ones are expected.

    A short bound covers everything that starts with it: 4.6 as `high` covers 4.6.5. A version
    written short is inside when any of its releases is: 5.1 is inside 5.1.1 to 5.1.6.
    """

    low: Version
    high: Version | None

    def holds(self, version: Version) -> bool:
        """Return whether `version` is inside."""
        if version < self.low[: len(version)]:
            return False
        return self.high is None or version[: len(self.high)] <= self.high

    def is_newer_patch(self, version: Version) -> bool:
        """Return whether `version` is a later patch of the newest release inside."""
        return (
            self.high is not None
            and len(self.high) >= 2
            and version[:2] == self.high[:2]
            and version > self.high
        )


@cache
def ranges_from_text(text: str) -> tuple[VersionRange, ...]:
    """Read "5.1.1-5.1.6, 6.0-6.2.2, 7.2+" or "3.x-4.6.x (EOL)". Raises ValueError when it is not.

    "n/a" has no ranges. Remarks in parentheses are skipped.
    """
    plain = re.sub(r"\([^)]*\)", "", text).strip()
    if plain in ("", "n/a"):
        return ()
    return tuple(_range(part.strip()) for part in plain.split(","))


def _range(text: str) -> VersionRange:
    match = re.fullmatch(r"(\d[\d.]*?)(?:\.x)?(?:(\+)|-(\d[\d.]*?)(?:\.x)?)?", text)
    if match is None:
        raise ValueError(f"{text!r} is not a range such as 5.1.1-5.1.6 or 7.2+")
    low = tuple(int(part) for part in match[1].split("."))
    if match[2]:
        return VersionRange(low, None)
    high = tuple(int(part) for part in match[3].split(".")) if match[3] else low
    return VersionRange(low, high)
