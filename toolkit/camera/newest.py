"""A camera behind a thread that empties its source all the time, so that no lag can grow."""

from __future__ import annotations

import threading
from collections.abc import Callable

from toolkit.camera.frame import Frame, Status
from toolkit.camera.frame_slot import FrameSlot
from toolkit.clock import Clock

__all__ = ["NewestCamera", "next_pause_s"]

_FIRST_PAUSE_S, _LONGEST_PAUSE_S = 0.25, 8.0
_JOIN_S = 0.5


class NewestCamera:
    """Gives the newest frame that `receive` offered; `index` counts those that it replaced.

    `receive(camera)` runs in a thread of its own, calls `camera.offer` until `camera.stop` is set,
    and returns the Status that follows the last frame. What it raises, `read` raises.
    """

    def __init__(
        self, uri: str, receive: Callable[[NewestCamera], Status], clock: Clock, name: str
    ) -> None:
        self.uri = uri
        self.reconnects = 0
        self.stop = threading.Event()
        self._receive = receive
        self._clock = clock
        self._newest: FrameSlot[Frame | Status] = FrameSlot(clock)
        self._last = Status.END
        self._begun = threading.Event()
        self._error: BaseException | None = None
        self._thread = clock.start(self._run, name)

    def read(self, timeout_s: float) -> Frame | Status:
        """Return the newest frame not yet given, DAMAGED, TIMED_OUT, or why none will follow."""
        found = self._newest.take(timeout_s)
        if found is None and self._error is not None:
            raise self._error
        if found is None:
            return self._last if self._newest.exhausted else Status.TIMED_OUT
        return found

    def offer(self, found: Frame | Status, *, wait: bool = False) -> None:
        """Put a frame, or DAMAGED, in the place of one not read; with `wait`, once it was read."""
        self._begun.set()
        if wait:
            self._newest.put(found)
        else:
            self._newest.offer(found)

    def await_first(self, timeout_s: float) -> bool:
        """Return whether something came in time. Raises what ended the thread before that."""
        begun = self._begun.wait(timeout_s)
        if self._newest.exhausted and self._error is not None:
            raise self._error
        return begun

    def close(self) -> None:
        """Stop. A thread that waits for the source ends by itself when its time is up."""
        self.stop.set()
        self._newest.close()
        self._clock.join(self._thread, _JOIN_S)

    def _run(self) -> None:
        try:
            self._last = self._receive(self)
        except BaseException as error:
            self._error = error  # raised by `read`
        finally:
            self._newest.close()
            self._begun.set()


def next_pause_s(pause_s: float) -> float:
    """Return how long to wait before the next attempt to connect: twice as long each time."""
    return min(max(2 * pause_s, _FIRST_PAUSE_S), _LONGEST_PAUSE_S)
