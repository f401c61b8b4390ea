"""A connection that is opened again after it was cut: a step ends, or is tried anew."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from typing import TypeVar

from toolkit.errors import RemoteError
from toolkit.progress import Progress, ProgressCallback, silent
from toolkit.remote.connection import Address, Connection, Opener, open_connection

__all__ = ["PAUSES_S", "Link", "open_link"]

T = TypeVar("T")
_GOES_ON = "What runs there goes on and is found by the next command."
_IS_REPEATED = "The next command repeats it, except for what was copied already."
PAUSES_S = (0.5, 1.0, 2.0, 4.0, 8.0, 15.0, 30.0, 30.0, 30.0, 60.0, 60.0, 60.0)
"""How long to wait before each attempt to connect again: five minutes, a reboot of a Jetson."""


class Link:
    """Runs steps over a connection. A step may run twice: it must not matter how often it ran."""

    def __init__(
        self,
        address: Address,
        opener: Opener,
        *,
        resume: str,
        progress: ProgressCallback,
        pauses_s: tuple[float, ...],
        sleep: Callable[[float], None],
    ) -> None:
        self.address = address
        self.cuts = 0
        self.goes_on_alone = False
        """Whether a job was started there that needs no connection."""
        self._opener = opener
        self._resume = resume
        self._progress = progress
        self._pauses_s = pauses_s
        self._sleep = sleep
        self._was_there = False
        self._gave_up = False
        self._opened: AbstractContextManager[Connection] | None = None
        self._connection: Connection | None = None

    def step(self, work: Callable[[Connection], T]) -> T:
        """Return what `work` returns, connecting again as often as it takes.

        Raises RemoteError when the device was never there, or stays away for all the pauses;
        after that a step is tried once.
        """
        failures = 0
        pauses_s = () if self._gave_up else self._pauses_s
        while True:
            try:
                return work(self._open())
            except ConnectionError as cut:
                self.close()
                if not self._was_there:
                    raise RemoteError(f"{cut}.", next_command=f"{self.address.ssh} true") from cut
                if failures == len(pauses_s):
                    self._gave_up = True
                    rest = _GOES_ON if self.goes_on_alone else _IS_REPEATED
                    raise RemoteError(
                        f"{cut}; {failures} attempts to connect again failed. {rest}",
                        next_command=self._resume,
                    ) from cut
                pause_s = pauses_s[failures]
                failures += 1
                self.cuts += 1
                note = f"{cut}: again in {pause_s:g} s"
                self._progress(Progress("connect", failures, len(pauses_s), note))
                self._sleep(pause_s)

    def close(self) -> None:
        """Close the connection, if there is one."""
        opened, self._opened, self._connection = self._opened, None, None
        if opened is not None:
            with suppress(OSError, EOFError):  # it may be cut, and is given up anyway
                opened.__exit__(None, None, None)

    def _open(self) -> Connection:
        if self._connection is None:
            opened = self._opener()
            self._connection = opened.__enter__()
            self._opened = opened
            self._was_there = True
        return self._connection


@contextmanager
def open_link(
    address: Address,
    *,
    resume: str,
    progress: ProgressCallback = silent,
    opener: Opener | None = None,
    pauses_s: tuple[float, ...] = PAUSES_S,
    sleep: Callable[[float], None] = time.sleep,
) -> Iterator[Link]:
    """Yield a Link to `address`; `resume` is the command that goes on after it was given up."""
    link = Link(
        address,
        opener or (lambda: open_connection(address)),
        resume=resume,
        progress=progress,
        pauses_s=pauses_s,
        sleep=sleep,
    )
    try:
        yield link
    finally:
        link.close()
