"""Results to a program that listens on a Unix stream socket: `unix:/run/app/results.sock`.

A reader that goes away is waited for, with back-off; the queue holds lines meanwhile, and loses
those beyond its bound. What the kernel had taken when the reader went is lost uncounted.
"""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from toolkit.errors import InputError, MachineError
from toolkit.results import ResultSink
from toolkit.results.line_writer import LineWriter
from toolkit.shell import quoted

__all__ = ["UnixSocket", "open_unix_socket"]

_SLICE_S = 0.2  # how long a stop can go unnoticed
_FIRST_DELAY_S, _LONGEST_DELAY_S = 0.1, 5.0


class UnixSocket:
    """Delivers lines to the listener at `path`, and connects again when it went away."""

    def __init__(self, path: str) -> None:
        self._path = path
        self._socket: socket.socket | None = _connected(path)

    def send(self, line: bytes, stop: threading.Event) -> bool:
        """Deliver one whole line to one connection; return False if `stop` came first."""
        delay_s = _FIRST_DELAY_S
        while True:
            if self._socket is not None:
                try:
                    return _send_all(self._socket, line, stop)
                except OSError:  # the reader went: the whole line goes to the next one
                    self._drop()
            if stop.wait(delay_s):
                return False
            delay_s = min(2 * delay_s, _LONGEST_DELAY_S)
            try:
                self._socket = _connected(self._path)
            except OSError:
                continue  # nobody listens yet

    def close(self) -> None:
        """Close the connection."""
        self._drop()

    def failure(self, error: OSError) -> MachineError:
        """Return what to tell the user when no reader could be reached."""
        return _nobody_listens(self._path, error)

    def _drop(self) -> None:
        if self._socket is not None:
            self._socket.close()
            self._socket = None


@contextmanager
def open_unix_socket(where: str) -> Iterator[ResultSink]:
    """Yield a sink for the program that listens on the socket.

    Raises InputError when no path is named, MachineError when nobody listens there at the start.
    """
    path = where.removeprefix("unix:")
    path = path.removeprefix("//") if path.startswith("///") else path
    if not path:
        raise InputError(
            f"{where!r} names no socket.",
            next_command="edgekit live ENGINE --camera URI --results unix:/run/app/results.sock",
        )
    try:
        delivery = UnixSocket(path)
    except OSError as error:
        raise _nobody_listens(path, error) from error
    writer = LineWriter(delivery)
    try:
        yield writer
    finally:
        writer.close()


def _nobody_listens(path: str, error: OSError) -> MachineError:
    return MachineError(
        f"No program listens on the socket {path}: {error.strerror or error}.",
        next_command=f"ls -l {quoted(path)}",
    )


def _connected(path: str) -> socket.socket:
    opened = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        opened.settimeout(_SLICE_S)
        opened.connect(path)
    except OSError:
        opened.close()
        raise
    return opened


def _send_all(opened: socket.socket, line: bytes, stop: threading.Event) -> bool:
    while line:
        try:
            line = line[opened.send(line) :]
        except TimeoutError:  # a slow reader: the queue fills up meanwhile
            if stop.is_set():
                return False
    return True
