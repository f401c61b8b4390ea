"""A bounded queue and a thread between the live loop and whoever reads its results.

The loop never waits for a slow reader: lines that find the queue full are lost and counted.
"""

from __future__ import annotations

import queue
import threading
import time
from typing import Protocol

from toolkit.errors import MachineError
from toolkit.results import Result, result_line

__all__ = ["Delivery", "LineWriter"]

_QUEUE_LINES = 1024
_CLOSE_S = 2.0
"""How long `close` waits for a reader that is behind, and for one that went away to come back."""


class Delivery(Protocol):
    """Where the lines of one LineWriter go. Its methods are called from that writer's thread."""

    def send(self, line: bytes, stop: threading.Event) -> bool:
        """Deliver one line; return False if it could not be before `stop` was set.

        Raises OSError when no line can be delivered any more.
        """
        ...

    def close(self) -> None:
        """Give back what the delivery holds."""
        ...

    def failure(self, error: OSError) -> MachineError:
        """Return what to tell the user about an error of `send`."""
        ...


class LineWriter:
    """Writes one JSON line a result through `delivery`, which it owns, from a thread of its own."""

    def __init__(self, delivery: Delivery, *, capacity: int = _QUEUE_LINES) -> None:
        self._delivery = delivery
        self._lines: queue.Queue[tuple[Result, float] | None] = queue.Queue(capacity)
        self._error: OSError | None = None
        self._stop = threading.Event()
        self._full = 0  # each counter has one thread that writes it
        self._undelivered = 0
        self._thread = threading.Thread(target=self._run, name="results", daemon=True)
        self._thread.start()

    @property
    def lost(self) -> int:
        """Return how many lines the reader was too slow for, or was not there for."""
        return self._full + self._undelivered

    def put(self, result: Result) -> None:
        """Queue one result, or count it as lost. Raises MachineError after a failed write."""
        if self._error is not None:
            raise self._delivery.failure(self._error) from self._error
        try:
            self._lines.put_nowait((result, time.time()))
        except queue.Full:
            self._full += 1

    def close(self) -> None:
        """Deliver what is queued, as far as the reader takes it, and close the delivery."""
        try:
            self._lines.put(None, timeout=_CLOSE_S)
            self._thread.join(_CLOSE_S)
        except queue.Full:
            pass  # the reader is too slow for what is queued: it is given up below, and counted
        self._stop.set()
        if self._thread.is_alive():
            self._give_up_queued()
            self._thread.join(_CLOSE_S)
        if self._error is not None:
            self._give_up_queued()

    def _give_up_queued(self) -> None:
        """Count what is still queued as lost, and leave the thread the sign to end."""
        try:
            while True:
                self._full += self._lines.get_nowait() is not None
        except queue.Empty:
            self._lines.put(None)

    def _run(self) -> None:
        try:
            while (item := self._lines.get()) is not None:
                result, wall_s = item
                line = result_line(result, wall_s=wall_s).encode()
                if not self._delivery.send(line, self._stop):
                    self._undelivered += 1
        except OSError as error:
            self._error = error  # raised by the next `put`
        finally:
            self._delivery.close()
