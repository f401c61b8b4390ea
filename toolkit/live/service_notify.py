"""Tell systemd that a live run is ready, and alive at every answered frame (man sd_notify)."""

from __future__ import annotations

import socket
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

from toolkit.camera.frame import Frame
from toolkit.live.samples import FrameTimes
from toolkit.results import Result

__all__ = ["ServiceNotifier", "open_notifier"]

_PING_EVERY_S = 1.0


class ServiceNotifier:
    """A view that shows nothing: READY=1 at the first frame, then WATCHDOG=1, once a second."""

    def __init__(self, address: str, *, clock: Callable[[], float] = time.monotonic) -> None:
        # A name that begins with @ is in the abstract namespace, where the kernel has a zero byte.
        self._address = f"\0{address[1:]}" if address.startswith("@") else address
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC)
        self._socket.setblocking(False)
        self._clock = clock
        self._next_s = clock()
        self._ready = False

    def show(self, frame: Frame, result: Result, times: FrameTimes) -> None:
        """Tell systemd that a frame was answered."""
        now = self._clock()
        if now < self._next_s:
            return
        self._next_s = now + _PING_EVERY_S
        self._send("WATCHDOG=1" if self._ready else "READY=1\nWATCHDOG=1")
        self._ready = True

    def close(self) -> None:
        """Tell systemd that the run ends by itself."""
        self._send("STOPPING=1")
        self._socket.close()

    def _send(self, text: str) -> None:
        # Nobody listens, or systemd is busy: the watchdog will tell, the frames must go on.
        with suppress(OSError):
            self._socket.sendto(text.encode(), self._address)


@contextmanager
def open_notifier(address: str) -> Iterator[ServiceNotifier]:
    """Yield a notifier for the socket that systemd named in NOTIFY_SOCKET."""
    notifier = ServiceNotifier(address)
    try:
        yield notifier
    finally:
        notifier.close()
