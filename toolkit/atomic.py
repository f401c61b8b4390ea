"""Write a file so that a reader, or a killed run, leaves the old bytes or the new ones."""

from __future__ import annotations

import errno
import fcntl
import os
import re
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from toolkit.errors import MachineError
from toolkit.shell import quoted

__all__ = [
    "check_writable",
    "new_folder",
    "remove_unfinished",
    "replace_file",
    "write_bytes",
    "write_text",
]

_unfinished: set[Path] = set()
"""The temporary files and folders that this process is writing."""


@contextmanager
def replace_file(path: Path) -> Iterator[Path]:
    """Yield a temporary path in the same folder that becomes `path` if the block succeeds.

    For writers that need a file name (engines, archives, data sets). The bytes are synced to disk
    before the rename. Raises MachineError for a full disk or a folder that cannot be written.
    """
    _check_no_folder(path)
    temporary = _temporary_beside(path)
    lock = -1
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        _remove_abandoned(path)
        _unfinished.add(temporary)
        lock = _create(temporary)
        yield temporary
        with temporary.open("rb") as file:
            os.fsync(file.fileno())
        temporary.replace(path)
    except OSError as error:
        raise _machine_error(path, error) from error
    finally:
        _remove(temporary)
        if lock >= 0:
            os.close(lock)


@contextmanager
def new_folder(path: Path) -> Iterator[Path]:
    """Yield a temporary folder beside `path` that becomes `path` if the block succeeds.

    `path` must not exist, or be an empty folder. Raises MachineError as `replace_file` does.
    """
    temporary = _temporary_beside(path)
    lock = -1
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        _remove_abandoned(path)
        _unfinished.add(temporary)
        temporary.mkdir()
        lock = os.open(temporary, os.O_RDONLY | os.O_CLOEXEC)
        _lock(lock)
        yield temporary
        temporary.replace(path)
    except OSError as error:
        raise _machine_error(path, error) from error
    finally:
        _remove(temporary)
        if lock >= 0:
            os.close(lock)


def write_bytes(path: Path, content: bytes) -> None:
    """Write `content` to `path` atomically."""
    with replace_file(path) as temporary:
        temporary.write_bytes(content)


def write_text(path: Path, content: str) -> None:
    """Write `content` to `path` atomically, as UTF-8 with Unix line ends.

    File names in it need not be UTF-8: their other bytes become escapes (backslash, "udcff").
    """
    write_bytes(path, content.encode("utf-8", "backslashreplace"))


def check_writable(path: Path) -> None:
    """Raise MachineError if `path` could not be written: called before work that takes minutes."""
    _check_no_folder(path)
    folder = _existing_folder(path)
    if not folder.is_dir():
        raise _machine_error(path, NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR)))
    if not os.access(folder, os.W_OK | os.X_OK):
        # On a file system mounted read-only, too: access() knows.
        raise _machine_error(path, PermissionError(errno.EACCES, f"{folder} is read-only"))


def remove_unfinished() -> None:
    """Remove what this process has not finished writing: called when it must end at once."""
    for temporary in tuple(_unfinished):
        _remove(temporary)


def _remove(temporary: Path) -> None:
    if temporary.is_dir():
        shutil.rmtree(temporary, ignore_errors=True)
    else:
        with suppress(OSError):  # it may never have been made
            temporary.unlink(missing_ok=True)
    _unfinished.discard(temporary)


def _check_no_folder(path: Path) -> None:
    if path.is_dir():
        raise MachineError(
            f"{path} is a folder: a file of that name cannot be written.",
            next_command=f"ls -ld {quoted(path)}",
        )


def _existing_folder(path: Path) -> Path:
    """Return the folder of `path`, or the nearest one above that exists."""
    folder = path.parent
    while not os.path.lexists(folder) and folder != folder.parent:
        folder = folder.parent
    return folder


def _temporary_beside(path: Path) -> Path:
    return path.with_name(f".{path.name}.{secrets.token_hex(4)}.tmp{path.suffix}")


def _create(temporary: Path) -> int:
    """Create and lock the file; return its descriptor."""
    while True:
        lock = os.open(temporary, os.O_CREAT | os.O_EXCL | os.O_RDWR | os.O_CLOEXEC, 0o666)
        _lock(lock)
        if os.fstat(lock).st_nlink:
            return lock
        os.close(lock)  # another run removed it as abandoned, just before it was locked


def _lock(handle: int) -> None:
    """Mark what is being written: a killed process loses its locks, and so gives it away."""
    with suppress(OSError):  # a file system without locks: what is left there stays
        fcntl.flock(handle, fcntl.LOCK_EX)


def _remove_abandoned(path: Path) -> None:
    """Remove what killed runs left of `path`: temporary files that nobody holds a lock on."""
    name = rf"\.{re.escape(path.name)}\.[0-9a-f]{{8}}\.tmp{re.escape(path.suffix)}"
    for entry in os.listdir(path.parent):  # noqa: PTH208 - names are enough, and cheaper
        if not re.fullmatch(name, entry):
            continue
        left = path.parent / entry
        with suppress(OSError):  # locked: another run is writing it; gone: another run removed it
            handle = os.open(left, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
                _remove(left)
            finally:
                os.close(handle)


def _machine_error(path: Path, error: OSError) -> MachineError:
    folder = _existing_folder(path)
    if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
        return MachineError(
            f"The disk that holds {folder} is full: {path.name} was not written.",
            next_command=f"df -h {quoted(folder)}",
        )
    return MachineError(
        f"{path} cannot be written: {error.strerror or error}.",
        next_command=f"ls -ld {quoted(folder)}",
    )
