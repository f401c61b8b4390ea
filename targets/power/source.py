"""What every reader of energy offers, and the sum that is made of readings of power."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from types import TracebackType
from typing import Protocol

from targets.errors import TargetError

__all__ = ["EnergySource", "PolledPower", "PowerSum"]


class EnergySource(Protocol):
    """Energy that a part of the machine has used; read only between `with`'s begin and end."""

    @property
    def name(self) -> str:
        """Return what is read: "RAPL", "INA3221", "tegrastats" or "nvidia-smi"."""

    @property
    def covers(self) -> str:
        """Return which part of the machine, in words, with the sensors' own names."""

    @property
    def hz(self) -> float:
        """Return how many readings a second it is made of."""

    @property
    def settle_s(self) -> float:
        """Return for how long a reading still holds what was before it."""

    def joules(self) -> float:
        """Return the energy since the source was opened. Raises TargetError when it has failed."""

    def __enter__(self) -> EnergySource: ...

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None: ...


class PowerSum:
    """The area under readings of power: straight between two, level after the last."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._joules = 0.0
        self._last: tuple[float, float] | None = None

    def add(self, watts: float) -> None:
        """Take a reading that was made now."""
        with self._lock:
            now = self._clock()
            if self._last is not None:
                then, before = self._last
                self._joules += (now - then) * (watts + before) / 2.0
            self._last = (now, watts)

    def joules(self, *, silence_s: float) -> float | None:
        """Return the sum up to now; None when no reading was taken for `silence_s`."""
        with self._lock:
            if self._last is None:
                return None
            then, watts = self._last
            since = self._clock() - then
            return None if since > silence_s else self._joules + since * watts


class PolledPower:
    """Energy from a sensor of power that is read `hz` times a second in a thread."""

    settle_s = 0.5

    def __init__(self, name: str, covers: str, read_w: Callable[[], float | None], *, hz: float):
        self.name = name
        self.covers = covers
        self.hz = hz
        self._read_w = read_w
        self._sum = PowerSum()
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._poll, name="power", daemon=True)

    def __enter__(self) -> PolledPower:
        self._take()
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stopped.set()
        self._thread.join()

    def joules(self) -> float:
        """Return the energy since the source was opened."""
        found = self._sum.joules(silence_s=max(2.0, 10.0 / self.hz))
        if found is None:
            raise TargetError(
                f"{self.name} stopped answering while energy was measured ({self.covers}).",
                next_command="edgekit doctor",
            )
        return found

    def _poll(self) -> None:
        while not self._stopped.wait(1.0 / self.hz):
            self._take()

    def _take(self) -> None:
        watts = self._read_w()
        if watts is not None:
            self._sum.add(watts)
