"""Hand results to another program: one JSON line a frame, through a bounded queue.

The loop never waits for a slow reader: lines that find the queue full are lost and counted.
"""

from __future__ import annotations

import errno
import json
import os
import queue
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from toolkit.camera.uri import did_you_mean
from toolkit.errors import InputError, MachineError
from toolkit.lazy import load
from toolkit.shell import quoted
from toolkit.top_k import Guess

__all__ = ["SINKS", "LineWriter", "Result", "ResultSink", "open_results", "result_line"]

SINKS = {
    "-": "toolkit.results:open_stdout",
    "file": "toolkit.results:open_lines_file",
}
"""Where results can go -> what opens it: `open_*(where)`, a context manager; `file` is any path."""

_QUEUE_LINES = 1024
_CLOSE_S = 2.0
"""How long `close` waits for a reader that is behind."""


@dataclass(frozen=True)
class Result:
    """What the engine said about one frame, and how old the frame was by then."""

    index: int
    captured_at_s: float
    timestamp_origin: str
    frame_age_ms: float
    capture_to_result_ms: float
    top: tuple[Guess, ...]


class ResultSink(Protocol):
    """Takes results; `put` returns at once."""

    lost: int
    """Results that the reader was too slow for."""

    def put(self, result: Result) -> None:
        """Take one result. Raises MachineError when none can be delivered any more."""
        ...


def result_line(result: Result, *, wall_s: float) -> str:
    """Return the JSON line; `wall_s` is the time of day at which the result was ready."""
    values = {
        "index": result.index,
        "time": round(wall_s - result.capture_to_result_ms / 1e3, 6),
        "captured_at_s": round(result.captured_at_s, 6),
        "timestamp_origin": result.timestamp_origin,
        "frame_age_ms": round(result.frame_age_ms, 3),
        "capture_to_result_ms": round(result.capture_to_result_ms, 3),
        "top": [
            {
                "index": guess.index,
                "label": guess.label,
                "id": guess.id,
                "confidence": round(guess.confidence, 6),
            }
            for guess in result.top
        ],
    }
    return json.dumps(values) + "\n"


@contextmanager
def open_results(where: str) -> Iterator[ResultSink]:
    """Yield the sink that `where` names: `-` for standard output, or a path.

    Raises InputError for an unknown scheme, MachineError when the file cannot be written.
    """
    scheme, separator, _ = where.partition("://")
    kind = where if where in SINKS else scheme if separator else "file"
    if kind not in SINKS:
        raise InputError(
            f"Results cannot go to {where!r}: unknown scheme {kind!r}{did_you_mean(kind, SINKS)}",
            next_command="edgekit live ENGINE --camera URI --results results.jsonl",
        )
    opener: Callable[[str], AbstractContextManager[ResultSink]] = load(
        SINKS[kind], what=f"Results to {kind}", install="pip install edgekit"
    )
    with opener(where) as sink:
        yield sink


@contextmanager
def open_stdout(_where: str) -> Iterator[ResultSink]:
    """Yield a sink that writes to this process's standard output."""
    sys.stdout.flush()
    with _open_writer(os.dup(1), "standard output") as sink:
        yield sink


@contextmanager
def open_lines_file(where: str) -> Iterator[ResultSink]:
    """Yield a sink that writes a file anew, line by line, so that it can be followed."""
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
    writer = LineWriter(handle, name)
    try:
        yield writer
    finally:
        writer.close()


class LineWriter:
    """Writes lines to a file descriptor, which it owns, from a thread of its own.

    Below Python's own file objects: a thread that hangs in one of those, because the reader of a
    pipe went to sleep, would abort the interpreter at exit.
    """

    def __init__(self, handle: int, name: str, *, capacity: int = _QUEUE_LINES) -> None:
        self._handle = handle
        self._name = name
        self._lines: queue.Queue[tuple[Result, float] | None] = queue.Queue(capacity)
        self._error: OSError | None = None
        self._closing = False
        self.lost = 0
        self._thread = threading.Thread(target=self._run, name="results", daemon=True)
        self._thread.start()

    def put(self, result: Result) -> None:
        """Queue one result, or count it as lost. Raises MachineError after a failed write."""
        if self._error is not None:
            raise _delivery_error(self._name, self._error) from self._error
        try:
            self._lines.put_nowait((result, time.time()))
        except queue.Full:
            self.lost += 1

    def close(self) -> None:
        """Write what is queued, as far as the reader takes it, and close the descriptor."""
        self._closing = True
        try:
            self._lines.put(None, timeout=_CLOSE_S)
        except queue.Full:
            self.lost += self._lines.qsize()
            return  # the thread hangs in a write; the descriptor goes when the process does
        self._thread.join(_CLOSE_S)

    def _run(self) -> None:
        try:
            while (item := self._lines.get()) is not None:
                result, wall_s = item
                if self._error is None:
                    self._write(result_line(result, wall_s=wall_s).encode())
        finally:
            os.close(self._handle)

    def _write(self, content: bytes) -> None:
        try:
            while content:
                content = content[os.write(self._handle, content) :]
        except OSError as error:
            self._error = error  # raised by the next `put`


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
