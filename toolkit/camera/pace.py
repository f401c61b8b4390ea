"""Gives recorded or made-up pictures the rhythm of a camera."""

from __future__ import annotations

from toolkit.camera.uri import CameraUri
from toolkit.clock import Clock

__all__ = ["DEFAULT_FPS", "Pace", "pace_from_uri"]

DEFAULT_FPS = 30.0
"""The rate of a paced source that has none of its own."""


class Pace:
    """Holds each frame back until its time; the first is due when it is first asked for.

    A reader that comes late gets one old frame at once, as from a camera that holds one.
    """

    def __init__(self, fps: float, clock: Clock) -> None:
        self._period_s = 1.0 / fps if fps > 0 else 0.0
        self._clock = clock
        self._due: float | None = None

    def wait(self, timeout_s: float, delay_s: float = 0.0) -> float | None:
        """Return when this frame was due, `delay_s` after that time; None after `timeout_s`."""
        now = self._clock()
        if not self._period_s:
            return now
        due = self._due = now if self._due is None else self._due
        pause = due + delay_s - now
        if pause > timeout_s:
            self._clock.sleep(timeout_s)
            return None
        if pause > 0:
            self._clock.sleep(pause)
        # A camera that nobody reads drops frames: only the one it holds is old.
        self._due = max(due + self._period_s, now - delay_s)
        return due


def pace_from_uri(uri: CameraUri, *, paced: bool, own_fps: float, clock: Clock) -> Pace:
    """Return the pace: `?fps=N` if given, else `own_fps` (or 30) when `paced`, else none.

    `?fps=0` is as fast as possible.
    """
    default = (own_fps if own_fps > 0 else DEFAULT_FPS) if paced else 0.0
    return Pace(uri.number("fps", default, low=0, high=1000), clock)
