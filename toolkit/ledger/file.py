"""The ledger's file: JSON lines that several programs may append to at once."""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Sequence
from pathlib import Path

from toolkit.errors import InputError, MachineError
from toolkit.ledger.entry import KIND, VERSION, Entry, entry_from_dict
from toolkit.shell import quoted

__all__ = ["append_entries", "read_ledger"]


def read_ledger(path: Path) -> tuple[Entry, ...]:
    """Return every entry in order.

    Raises InputError, naming the line, when one is cut off, was edited, comes from a newer Edgekit
    or has the id of an earlier one.
    """
    try:
        content = path.read_bytes()
    except OSError as error:
        raise InputError(
            f"{path} cannot be read: {error.strerror or error}.",
            next_command=f"edgekit ledger add FILE.latency.json --ledger {quoted(path)}",
        ) from error
    return _entries(path, content)


def append_entries(path: Path, entries: Sequence[Entry]) -> tuple[Entry, ...]:
    """Append what is not in the ledger yet and return it; all of it or, on an error, nothing.

    The file is locked meanwhile, and synced to disk. Raises InputError as `read_ledger` does,
    MachineError when it cannot be written.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o666)
    except OSError as error:
        raise _machine_error(path, error) from error
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)  # until the descriptor is closed
        known = {entry.id for entry in _entries(path, path.read_bytes())}
        new = {entry.id: entry for entry in entries if entry.id not in known}
        lines = [json.dumps(entry.to_dict(), allow_nan=False) + "\n" for entry in new.values()]
        _append(handle, "".join(lines).encode())
    except OSError as error:
        raise _machine_error(path, error) from error
    finally:
        os.close(handle)
    return tuple(new.values())


def _append(handle: int, content: bytes) -> None:
    before = os.fstat(handle).st_size
    try:
        while content:
            content = content[os.write(handle, content) :]
        os.fsync(handle)
    except OSError:
        os.ftruncate(handle, before)  # half a line would make the whole ledger unreadable
        raise


def _entries(path: Path, content: bytes) -> tuple[Entry, ...]:
    found: dict[str, int] = {}
    entries = []
    for number, line in enumerate(content.split(b"\n"), start=1):
        if not line.strip():
            continue
        entry = _entry(path, number, line)
        if entry.id in found:
            raise InputError(
                f"Lines {found[entry.id]} and {number} of {path} have the same id {entry.id}: the "
                "run would be counted twice.",
                next_command=f"sed -i {number}d {quoted(path)}",
            )
        found[entry.id] = number
        entries.append(entry)
    if content and not content.endswith(b"\n"):
        raise _damaged(path, content.count(b"\n") + 1, "the line has no end: it was cut off")
    return tuple(entries)


def _entry(path: Path, number: int, line: bytes) -> Entry:
    try:
        values = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise _damaged(path, number, f"not JSON, or cut off: {error}") from error
    if not isinstance(values, dict) or values.get("kind") != KIND:
        raise _damaged(path, number, "no entry of a ledger")
    version = values.get("version")
    if isinstance(version, int) and version > VERSION:
        raise InputError(
            f"Line {number} of {path} was written by a newer Edgekit (version {version} of the "
            f"format; this one reads up to {VERSION}).",
            next_command="pip install --upgrade edgekit",
        )
    try:
        return entry_from_dict(values)
    except (KeyError, TypeError, ValueError) as error:
        raise _damaged(path, number, f"{type(error).__name__}: {error}") from error


def _damaged(path: Path, number: int, what: str) -> InputError:
    return InputError(
        f"Line {number} of {path} is damaged or was edited ({what}).",
        next_command=f"sed -i {number}d {quoted(path)}   (drops that line)",
    )


def _machine_error(path: Path, error: OSError) -> MachineError:
    return MachineError(
        f"The ledger {path} cannot be written: {error.strerror or error}.",
        next_command=f"df -h {quoted(path.parent)}",
    )
