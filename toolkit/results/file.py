"""Results to standard output or to a file."""

from __future__ import annotations

import errno
import os
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from toolkit.errors import MachineError
from toolkit.results import ResultSink
from toolkit.results.line_writer import LineWriter
from toolkit.shell import quoted

__all__ = ["Descriptor", "open_lines_file", "open_stdout"]


class Descriptor:
    """Delivers to a file descriptor, which it owns.

    Below Python's own file objects: a thread that hangs in one of those, because the reader of a
    pipe went to sleep, would abort the interpreter at exit.
    """

    def __init__(self, handle: int, name: str) -> None:
        self._handle = handle
        self._name = name

    def send(self, line: bytes, stop: threading.Event) -> bool:
        """Write one line. Raises OSError for a full disk or a reader that went away."""
        while line:
            line = line[os.write(self._handle, line) :]
        return True

    def close(self) -> None:
        """Close the descriptor."""
        os.close(self._handle)

    def failure(self, error: OSError) -> MachineError:
        """Return what to tell the user about a failed write."""
        return _delivery_error(self._name, error)


@contextmanager
def open_stdout(_where: str) -> Iterator[ResultSink]:
    """Yield a sink that writes to this process's standard output."""
    sys.stdout.flush()
    with _open_writer(os.dup(1), "standard output") as sink:
        yield sink


@contextmanager
def open_lines_file(where: str) -> Iterator[ResultSink]:
    """Yield a sink that writes a file anew, line by line, so that it can be followed.

    Raises MachineError when the file cannot be written.
    """
    path = Path(where.removeprefix("file://"))
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o666)
    except OSError as error:
        raise _delivery_error(str(path), error) from error
    with _open_writer(handle, str(path)) as sink:
        yield sink


@contextmanager
def _open_writer(handle: int, name: str) -> Iterator[ResultSink]:
    writer = LineWriter(Descriptor(handle, name))
    try:
        yield writer
    finally:
        writer.close()


def _delivery_error(name: str, error: OSError) -> MachineError:
    if error.errno == errno.EPIPE:
        return MachineError(
            f"The program that read the results from {name} went away.",
            next_command="edgekit live ENGINE --camera URI --results results.jsonl",
        )
    return MachineError(
        f"Results cannot be written to {name}: {error.strerror or error}.",
        next_command=f"df -h {quoted(Path(name).parent)}",
    )
