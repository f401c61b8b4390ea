"""Two models on the same images: the drop with its interval, and every answer that changed."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from toolkit.accuracy import Accuracy
from toolkit.errors import InputError
from toolkit.map_overlap import MapOverlap
from toolkit.predictions import Prediction
from toolkit.record_file import write_record
from toolkit.robustness.record import Robustness
from toolkit.shell import quoted
from toolkit.statistics import (
    Interval,
    images_needed,
    mcnemar_mid_p,
    mcnemar_p,
    paired_drop_interval,
)
from toolkit.threshold import Threshold

__all__ = ["Comparison", "Flip", "pair_accuracies", "write_comparison"]

_KIND = "edgekit comparison"
_VERSION = 1
_WORTH_SEEING = 0.5  # points: the drop that releases argue about


@dataclass(frozen=True)
class Flip:
    """An image that the two models name differently. `label`, `a` and `b` are class names."""

    path: str
    image: str
    """The image's digest."""
    label: str
    a: str
    b: str
    confidence_a: float
    confidence_b: float
    effect: str
    """"lost": only a is right; "gained": only b is right; "" when both are wrong."""


@dataclass(frozen=True)
class Comparison:
    """`a` is the reference. The drop is accuracy(a) - accuracy(b): positive means b is worse."""

    a: Accuracy
    b: Accuracy
    sqnr_db: float | None = None
    """Of the logits of b against those of a; None when only predictions were compared."""
    mean_kl: float | None = None
    notes: tuple[str, ...] = ()
    threshold: Threshold | None = None
    plan_points: float | None = None
    """The drop that `plan` was asked about."""
    robustness: Robustness | None = None
    """Under corruptions; None where that was not asked."""
    maps: MapOverlap | None = None
    """Of the class activation maps; None unless both models give them."""

    @property
    def n(self) -> int:
        """Return how many images both were scored on."""
        return self.a.n

    @property
    def only_a(self) -> int:
        """Return how many images only a gets right."""
        return sum(x.right and not y.right for x, y in self._pairs())

    @property
    def only_b(self) -> int:
        """Return how many images only b gets right."""
        return sum(y.right and not x.right for x, y in self._pairs())

    @property
    def drop_points(self) -> float:
        """Return the accuracy lost from a to b, in percentage points."""
        return 100.0 * (self.only_a - self.only_b) / self.n

    @property
    def drop_interval(self) -> Interval:
        """Return the 95 % interval of the drop, in percentage points (Tango, paired)."""
        return paired_drop_interval(self.only_a, self.only_b, self.n).times(100.0)

    @property
    def agreement(self) -> float:
        """Return the share of images that both name alike, right or wrong."""
        return sum(x.predicted == y.predicted for x, y in self._pairs()) / self.n

    @property
    def mcnemar_p(self) -> float:
        """Return the exact two-sided p-value that both are right equally often."""
        return mcnemar_p(self.only_a, self.only_b)

    @property
    def verdict(self) -> str:
        """Return what the interval allows to say: "worse", "better" or "no difference shown"."""
        interval = self.drop_interval
        if interval.low > 0.0:
            return "worse"
        return "better" if interval.high < 0.0 else "no difference shown"

    def flips(self) -> tuple[Flip, ...]:
        """Return every image that a and b name differently, in the order of their paths."""
        labels = self.a.labels
        return tuple(
            Flip(
                path=x.path,
                image=x.image,
                label=labels[x.label],
                a=labels[x.predicted],
                b=labels[y.predicted],
                confidence_a=x.confidence,
                confidence_b=y.confidence,
                effect="lost" if x.right else "gained" if y.right else "",
            )
            for x, y in self._pairs()
            if x.predicted != y.predicted
        )

    def line(self) -> str:
        """Return the result as one line."""
        interval = self.drop_interval
        return (
            f"{self.b.model}  drop {self.drop_points:.2f} points ({interval.low:.2f} to "
            f"{interval.high:.2f}): {self.verdict}  top-1 {100.0 * self.a.top1:.2f} -> "
            f"{100.0 * self.b.top1:.2f} %  same answer {100.0 * self.agreement:.1f} %  "
            f"{self.n} images"
        )

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON values, with every flip. An infinite SQNR (no difference) is null."""
        sqnr = self.sqnr_db if self.sqnr_db is not None and math.isfinite(self.sqnr_db) else None
        return {
            "a": self.a.model,
            "b": self.b.model,
            "n": self.n,
            "top1_a": self.a.top1,
            "top1_b": self.b.top1,
            "drop_points": self.drop_points,
            "drop_interval": self.drop_interval.to_list(),
            "agreement": self.agreement,
            "mcnemar_p": self.mcnemar_p,
            "mcnemar_mid_p": mcnemar_mid_p(self.only_a, self.only_b),
            "verdict": self.verdict,
            "only_a": self.only_a,
            "only_b": self.only_b,
            "sqnr_db": sqnr,
            "identical_logits": self.sqnr_db == math.inf if self.sqnr_db is not None else None,
            "mean_kl": self.mean_kl,
            "images": self.a.images,
            "digest_a": self.a.digest,
            "digest_b": self.b.digest,
            "threshold": self.threshold.to_dict() if self.threshold else None,
            "plan": {"points": self.plan_points, "images": self.images_to_show(self.plan_points)}
            if self.plan_points
            else None,
            "robustness": self.robustness.to_dict() if self.robustness else None,
            "maps": self.maps.to_dict() if self.maps else None,
            "flips": [vars(flip) for flip in self.flips()],
            "notes": list(self.notes),
        }

    def images_to_show(self, points: float) -> int:
        """Return how many images show a drop of `points`, if as many are told apart as here."""
        told_apart = max(points / 100.0, (self.only_a + self.only_b) / self.n)
        return images_needed(points, told_apart=told_apart)

    def planning_note(self) -> str:
        """Return how many images would show a drop of half a point, or "" when these do."""
        half = self.drop_interval.width / 2.0
        return "" if half <= _WORTH_SEEING else self.plan(_WORTH_SEEING)

    def plan(self, points: float) -> str:
        """Return how sure these images are, and how many would show a drop of `points`."""
        return (
            f"{self.n} images bound the drop to {self.drop_interval.width / 2.0:.2f} points either "
            f"way; about {self.images_to_show(points)} would show one of {points:g} points"
        )

    def _pairs(self) -> Iterator[tuple[Prediction, Prediction]]:
        return zip(self.a.predictions, self.b.predictions, strict=True)


def pair_accuracies(a: Accuracy, b: Accuracy) -> Comparison:
    """Return the comparison of two scores of the same images, from their predictions alone.

    Raises InputError when they are not of the same images, labels and classes.
    """
    if (a.labels, a.ids) != (b.labels, b.ids):
        raise InputError(
            f"{a.model} and {b.model} do not have the same classes.",
            next_command="edgekit compare A B --images DIR",
        )
    keys = [[(p.path, p.image, p.label) for p in each.predictions] for each in (a, b)]
    if keys[0] != keys[1]:
        different = len(set(keys[0]) ^ set(keys[1]))
        raise InputError(
            f"{a.model} was scored on {a.n} images and {b.model} on {b.n}, {different} of which "
            "the other did not see: only the same images can be paired.",
            next_command=f"edgekit compare {quoted(a.model)} {quoted(b.model)} "
            f"--images {quoted(a.images)}",
        )
    return Comparison(a, b, notes=tuple(dict.fromkeys((*a.notes, *b.notes))))


def write_comparison(path: Path, comparison: Comparison) -> None:
    """Write the comparison to `path`, usually `*.comparison.json`."""
    write_record(path, comparison.to_dict(), kind=_KIND, version=_VERSION)
