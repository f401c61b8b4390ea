"""Is a paired accuracy drop within a budget? One-sided bounds and a verdict."""

from __future__ import annotations

from dataclasses import dataclass

from toolkit.statistics.deciding import two_sided
from toolkit.statistics.proportions import paired_drop_interval

__all__ = ["MET", "NOT_MET", "UNDECIDED", "PairedDrop", "smallest_bound"]

MET = "met"
NOT_MET = "not met"
UNDECIDED = "undecided"


@dataclass(frozen=True)
class PairedDrop:
    """Two models on the same `n` images: `only_a` are right for the reference alone.

    Drops are fractions; positive means that b is worse.
    """

    only_a: int
    only_b: int
    n: int

    @property
    def drop(self) -> float:
        """Return accuracy(a) - accuracy(b)."""
        return (self.only_a - self.only_b) / self.n

    def at_most(self, confidence: float) -> float:
        """Return what the true drop stays below in `confidence` of such experiments."""
        return self._interval(confidence)[1]

    def at_least(self, confidence: float) -> float:
        """Return what the true drop stays above in `confidence` of such experiments."""
        return self._interval(confidence)[0]

    def verdict(self, budget: float, confidence: float) -> str:
        """Return MET or NOT_MET where a one-sided bound (Tango's score) shows it, or UNDECIDED."""
        if self.at_most(confidence) <= budget:
            return MET
        return NOT_MET if self.at_least(confidence) > budget else UNDECIDED

    def scaled_to(self, n: int) -> PairedDrop:
        """Return what `n` images would show if they were like these."""
        share = n / self.n
        only_a = round(self.only_a * share)
        return PairedDrop(only_a, min(round(self.only_b * share), n - only_a), n)

    def _interval(self, confidence: float) -> tuple[float, float]:
        level = two_sided(confidence)
        both = paired_drop_interval(self.only_a, self.only_b, self.n, confidence=level)
        return both.low, both.high


def smallest_bound(n: int, confidence: float) -> float:
    """Return the bound that `n` images give when no image tells the models apart."""
    return PairedDrop(0, 0, n).at_most(confidence)
