"""Carry a confidence threshold over from a float model to another, and say what it gives there.

A product answers only above some confidence. The threshold is chosen on the float model; the
confidences of INT8 differ, and with them how many images are answered and how many of these right.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from toolkit.accuracy import Accuracy
from toolkit.errors import InputError
from toolkit.predictions import Prediction
from toolkit.statistics import Interval, wilson_interval

__all__ = ["Above", "Threshold", "check_wanted", "threshold_at"]

_AGAIN = "edgekit compare A B --images DIR --at-precision 0.95"


@dataclass(frozen=True)
class Above:
    """What lies at or above a threshold: `answered` of `n` images, `right` of those answered."""

    n: int
    answered: int
    right: int

    @property
    def coverage(self) -> Interval:
        """Return the 95 % interval of the share of images that are answered (Wilson)."""
        return wilson_interval(self.answered, self.n)

    @property
    def precision(self) -> Interval:
        """Return the 95 % interval of the share of answers that are right (Wilson)."""
        return wilson_interval(self.right, self.answered)

    def text(self) -> str:
        """Return `96.0 % right (94.1 to 97.3) of 80.0 % answered`."""
        if not self.answered:
            return "no image answered"
        precision = self.precision.times(100.0)
        return (
            f"{100.0 * self.right / self.answered:.1f} % right ({precision.low:.1f} to "
            f"{precision.high:.1f}) of {100.0 * self.answered / self.n:.1f} % answered"
        )


@dataclass(frozen=True)
class Threshold:
    """The confidence chosen on a, and what it gives on both models."""

    confidence: float
    wanted: str
    a: Above
    b: Above

    def line(self) -> str:
        """Return the transfer as one line."""
        return (
            f"threshold {self.confidence:.4f} ({self.wanted}): {self.a.text()}; "
            f"after it {self.b.text()}"
        )

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON values."""
        sides = {
            name: {
                **asdict(above),
                "coverage": above.answered / above.n,
                "coverage_interval": above.coverage.to_list(),
                "precision": above.right / above.answered if above.answered else None,
                "precision_interval": above.precision.to_list(),
            }
            for name, above in (("a", self.a), ("b", self.b))
        }
        return {"confidence": self.confidence, "wanted": self.wanted, **sides}


def check_wanted(precision: float | None, coverage: float | None) -> None:
    """Raise InputError unless at most one of the two is wanted, and it lies in (0, 1]."""
    asked = [each for each in (precision, coverage) if each is not None]
    if len(asked) > 1 or not all(0.0 < each <= 1.0 for each in asked):
        raise InputError(
            "A threshold is chosen for a precision or for a coverage, one of them, in (0, 1].",
            next_command=_AGAIN,
        )


def threshold_at(
    a: Accuracy, b: Accuracy, *, precision: float | None = None, coverage: float | None = None
) -> Threshold | None:
    """Return the threshold that gives `a` what is wanted, and what it gives `b` on the same images.

    Either the lowest confidence at which at least `precision` of a's answers are right, or the
    highest at which a answers at least `coverage` of the images; both fractions of 1. Images with
    equal confidence are answered together. None when neither is wanted. Raises InputError for
    values outside (0, 1], for both at once, and when a has no such threshold.
    """
    check_wanted(precision, coverage)
    asked = precision if precision is not None else coverage
    if asked is None:
        return None
    levels = _levels(a.predictions)
    if coverage is not None:
        wanted = f"coverage {coverage:g}"
        level, above = next(each for each in levels if each[1].answered >= coverage * each[1].n)
        return Threshold(level, wanted, above, _above(b.predictions, level))
    enough = [each for each in levels if each[1].right >= asked * each[1].answered]
    if not enough:
        raise InputError(
            f"At no confidence are {100.0 * asked:g} % of the answers of {a.model} "
            "right on these images.",
            next_command=_AGAIN,
        )
    level, above = enough[-1]
    return Threshold(level, f"precision {asked:g}", above, _above(b.predictions, level))


def _levels(predictions: Sequence[Prediction]) -> list[tuple[float, Above]]:
    """Return every confidence that occurs, from the highest down, and what lies at or above it."""
    found: dict[float, Above] = {}
    answered = right = 0
    for each in sorted(predictions, key=lambda p: -p.confidence):
        answered, right = answered + 1, right + each.right
        found[each.confidence] = Above(len(predictions), answered, right)
    return list(found.items())


def _above(predictions: Sequence[Prediction], level: float) -> Above:
    answered = [p for p in predictions if p.confidence >= level]
    return Above(len(predictions), len(answered), sum(p.right for p in answered))
