"""What a search has evaluated, on disk after every step: an interrupted run goes on from there.

Each entry is found by the digest of what was evaluated and of the images: an entry of another
model, another calibration or other images is never taken for this one.
"""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

from toolkit.record_file import damaged, read_record, write_record
from toolkit.shell import quoted

__all__ = ["Journal", "open_journal"]

_KIND = "edgekit tuning journal"
_VERSION = 1


class Journal:
    """Entries by key; `record` writes the whole file before it returns."""

    def __init__(self, path: Path, entries: dict[str, Any]) -> None:
        self.path = path
        self._entries = entries

    def find(self, *parts: str) -> Any:
        """Return what was recorded for these parts, or None."""
        return self._entries.get(_key(parts))

    def record(self, value: Any, *parts: str) -> None:
        """Keep `value`, plain JSON, for these parts."""
        self._entries[_key(parts)] = value
        write_record(self.path, {"entries": self._entries}, kind=_KIND, version=_VERSION)


def open_journal(path: Path) -> Journal:
    """Return the journal in `path`, empty where there is none. Raises InputError when damaged."""
    if not path.exists():
        return Journal(path, {})
    remake = f"rm {quoted(path)}"
    entries = read_record(path, kind=_KIND, version=_VERSION, remake=remake).get("entries")
    if not isinstance(entries, dict):
        raise damaged(path, "it has no entries", remake=remake)
    return Journal(path, entries)


def _key(parts: tuple[str, ...]) -> str:
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()
