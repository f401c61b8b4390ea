"""What two models make of corrupted pictures: which images each gets right, cell by cell."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from toolkit.robustness.corruptions import SEVERITIES
from toolkit.statistics import Interval, paired_drop_interval, wilson_interval
from toolkit.statistics.distributions import t_quantile

__all__ = [
    "CLEAN",
    "CorruptedScore",
    "Estimate",
    "Robustness",
    "cells_of",
    "robustness_from_dict",
]

CLEAN = "clean"
"""Stands for the corruption of severity 0: none."""


def cells_of(corruptions: Sequence[str]) -> list[tuple[str, int]]:
    """Return what a sweep does to a picture, in its order: nothing, then all severities of each."""
    return [(CLEAN, 0), *((name, severity) for name in corruptions for severity in SEVERITIES)]


@dataclass(frozen=True)
class Estimate:
    """A number of percentage points and its 95 % interval."""

    points: float
    interval: Interval


@dataclass(frozen=True)
class CorruptedScore:
    """One corruption at one severity; "1" for each image that a model gets right, else "0"."""

    corruption: str
    severity: int
    right_a: str
    right_b: str

    @property
    def top1(self) -> tuple[float, float]:
        """Return the share that a and b get right."""
        n = len(self.right_a)
        return self.right_a.count("1") / n, self.right_b.count("1") / n

    @property
    def top1_intervals(self) -> tuple[Interval, Interval]:
        """Return the 95 % intervals of both (Wilson)."""
        n = len(self.right_a)
        a, b = (wilson_interval(right.count("1"), n) for right in (self.right_a, self.right_b))
        return a, b

    @property
    def gap(self) -> Estimate:
        """Return top-1 of a less that of b, in points (Tango, paired)."""
        lost, gained = (
            sum(pair == told for pair in zip(self.right_a, self.right_b, strict=True))
            for told in (("1", "0"), ("0", "1"))
        )
        n = len(self.right_a)
        interval = paired_drop_interval(lost, gained, n).times(100.0)
        return Estimate(100.0 * (lost - gained) / n, interval)

    def losses(self) -> NDArray[np.float64]:
        """Return 1 for each image only a gets right, -1 for each only b does, else 0."""
        a, b = (
            np.frombuffer(right.encode("ascii"), dtype=np.uint8).astype(np.float64)
            for right in (self.right_a, self.right_b)
        )
        return a - b


@dataclass(frozen=True)
class Robustness:
    """Scores of the same images in the same order; the first one is clean."""

    seed: int
    height: int
    width: int
    """Of the picture that was corrupted: after resizing and cropping."""
    scores: tuple[CorruptedScore, ...]

    @property
    def clean(self) -> CorruptedScore:
        """Return the score without a corruption."""
        return self.scores[0]

    @property
    def corruptions(self) -> tuple[str, ...]:
        """Return the names of the corruptions."""
        return tuple(dict.fromkeys(score.corruption for score in self.scores[1:]))

    def of(self, corruption: str) -> tuple[CorruptedScore, ...]:
        """Return the scores under one corruption, the mildest first."""
        return tuple(score for score in self.scores if score.corruption == corruption)

    def mean_gap(self, corruption: str = "") -> Estimate:
        """Return the gap, averaged over severities and (without a name) corruptions.

        An image counts once, with its mean over the cells: these are not independent.
        """
        return _mean_over_images(self._losses(corruption))

    def added_gap(self) -> Estimate:
        """Return by how much the mean gap exceeds that on clean pictures: what corruption adds."""
        return _mean_over_images(self._losses("") - self.clean.losses())

    def _losses(self, corruption: str) -> NDArray[np.float64]:
        cells = self.of(corruption) if corruption else self.scores[1:]
        losses = np.stack([score.losses() for score in cells])
        return np.asarray(losses.mean(axis=0), dtype=np.float64)

    def line(self) -> str:
        """Return the result as one line."""
        gap, added = self.mean_gap(), self.added_gap()
        a, b = (100.0 * np.mean([score.top1[k] for score in self.scores[1:]]) for k in (0, 1))
        return (
            f"under {len(self.corruptions)} corruptions top-1 {a:.2f} -> {b:.2f} %: drop "
            f"{gap.points:.2f} points ({gap.interval.low:.2f} to {gap.interval.high:.2f}), "
            f"{added.points:+.2f} against clean ({added.interval.low:+.2f} to "
            f"{added.interval.high:+.2f})"
        )

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON values, with the answer for every image."""
        return {
            "seed": self.seed,
            "height": self.height,
            "width": self.width,
            "gap_points": self.mean_gap().points,
            "gap_interval": self.mean_gap().interval.to_list(),
            "added_gap_points": self.added_gap().points,
            "added_gap_interval": self.added_gap().interval.to_list(),
            "scores": [
                {
                    **asdict(score),
                    "top1_a": score.top1[0],
                    "top1_b": score.top1[1],
                    "gap_points": score.gap.points,
                    "gap_interval": score.gap.interval.to_list(),
                }
                for score in self.scores
            ],
        }


def _mean_over_images(values: NDArray[np.float64]) -> Estimate:
    n = values.size
    mean = 100.0 * float(values.mean())
    if n < 2:
        return Estimate(mean, Interval(-100.0, 100.0, 0.95))
    half = 100.0 * t_quantile(0.975, n - 1) * float(values.std(ddof=1)) / n**0.5
    return Estimate(mean, Interval(mean - half, mean + half, 0.95))


def robustness_from_dict(values: dict[str, Any]) -> Robustness:
    """Return what `to_dict` described. Raises KeyError, TypeError or ValueError for other values.

    Its figures must follow from the answers.
    """
    scores = tuple(
        CorruptedScore(
            str(each["corruption"]),
            int(each["severity"]),
            str(each["right_a"]),
            str(each["right_b"]),
        )
        for each in values["scores"]
    )
    _check(scores)
    found = Robustness(int(values["seed"]), int(values["height"]), int(values["width"]), scores)
    if values["gap_points"] != found.mean_gap().points:
        raise ValueError("the gap under corruptions does not follow from the answers")
    return found


def _check(scores: Sequence[CorruptedScore]) -> None:
    if len(scores) < 2 or scores[0].corruption != CLEAN or not scores[0].right_a:
        raise ValueError("corruptions without clean and corrupted scores")
    n = len(scores[0].right_a)
    for score in scores:
        for right in (score.right_a, score.right_b):
            if len(right) != n or set(right) - {"0", "1"}:
                raise ValueError(f"{score.corruption}: not one answer for each of {n} images")
