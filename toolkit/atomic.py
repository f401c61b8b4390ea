"""Write a file so that a reader, or a killed run, leaves the old bytes or the new ones."""

from __future__ import annotations

import errno
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from toolkit.errors import MachineError

__all__ = ["replace_file", "write_bytes", "write_text"]


@contextmanager
def replace_file(path: Path) -> Iterator[Path]:
    """Yield a temporary path in the same folder that becomes `path` if the block succeeds.

    For writers that need a file name (engines, archives, data sets). The bytes are synced to disk
    before the rename. Raises MachineError for a full disk or a folder that cannot be written.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(
            prefix=f".{path.name}.", suffix=f".tmp{path.suffix}", dir=path.parent
        )
        os.close(handle)
    except OSError as error:
        raise _machine_error(path, error) from error
    temporary = Path(name)
    try:
        yield temporary
        with temporary.open("rb") as file:
            os.fsync(file.fileno())
        temporary.chmod(0o666 & ~_umask())  # mkstemp makes 0600; artifacts are ordinary files
        temporary.replace(path)
    except OSError as error:
        raise _machine_error(path, error) from error
    finally:
        temporary.unlink(missing_ok=True)


def write_bytes(path: Path, content: bytes) -> None:
    """Write `content` to `path` atomically."""
    with replace_file(path) as temporary:
        temporary.write_bytes(content)


def write_text(path: Path, content: str) -> None:
    """Write `content` to `path` atomically, as UTF-8 with Unix line ends."""
    write_bytes(path, content.encode("utf-8"))


def _umask() -> int:
    current = os.umask(0)  # there is no way to read it without setting it
    os.umask(current)
    return current


def _machine_error(path: Path, error: OSError) -> MachineError:
    folder = path.parent
    if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
        return MachineError(
            f"The disk that holds {folder} is full: {path.name} was not written.",
            next_command=f"df -h {folder}",
        )
    return MachineError(
        f"{path} cannot be written: {error.strerror or error}.", next_command=f"ls -ld {folder}"
    )
