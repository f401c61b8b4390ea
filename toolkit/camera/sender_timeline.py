"""When a picture of a network stream was taken, from the sender's timeline and its arrival here."""

from __future__ import annotations

__all__ = ["SenderTimeline"]

_DRIFT = 2e-4
"""Two quartz clocks differ by less; a delay that grows faster is lag, and shows in the age."""


class SenderTimeline:
    """Maps the sender's timestamps to our clock, anchored at the smallest delay seen.

    A picture that was held up on the way keeps its true age that way; the smallest delay itself
    (encoder, network) is unknown and not in it.
    """

    def __init__(self) -> None:
        self._offset_s: float | None = None
        self._last_sent_s = self._last_arrived_s = 0.0

    def captured_at(self, sent_s: float, arrived_s: float) -> float:
        """Return when the picture stamped `sent_s`, which arrived at `arrived_s`, was sent."""
        delay_s = arrived_s - sent_s
        if self._offset_s is None or sent_s < self._last_sent_s:  # the sender began anew
            self._offset_s = delay_s
        else:
            passed_s = max(arrived_s - self._last_arrived_s, 0.0)
            self._offset_s = min(delay_s, self._offset_s + _DRIFT * passed_s)
        self._last_sent_s, self._last_arrived_s = sent_s, arrived_s
        return sent_s + self._offset_s
