"""Do two models look at the same part of a picture? Their class activation maps, compared.

Per picture: the fifth of the map where each is highest, as intersection over union, and Pearson's
correlation of all its values. Maps are of each model's own winner.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from toolkit.runtime.session import Mapped
from toolkit.statistics import Interval, mean_interval

__all__ = ["HIGHEST_SHARE", "MapComparison", "MapOverlap", "correlation", "top_overlap"]

HIGHEST_SHARE = 0.2
"""The share of the map's area whose overlap is taken."""


@dataclass(frozen=True)
class MapOverlap:
    """Means over the pictures with 95 % intervals; `correlation` leaves flat maps out.

    `iou` is of the highest fifth; two maps that have nothing to do with each other have 0.11.
    """

    images: int
    iou: float
    iou_interval: Interval
    correlation: float
    correlation_interval: Interval
    flat: int
    """Pictures of which a map has the same value everywhere: no correlation exists."""
    same_winner: int
    iou_of_same_winner: float
    """Over the pictures whose winner is the same class; NaN if there is none."""

    def line(self) -> str:
        """Return the figures as one line."""
        low, high = self.iou_interval.low, self.iou_interval.high
        return (
            f"activation maps: the highest fifth overlaps by {self.iou:.2f} ({low:.2f} to "
            f"{high:.2f}; intersection over union), correlation {self.correlation:.3f}, "
            f"{self.images} images"
        )

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON values; what does not exist is null."""
        return {
            "images": self.images,
            "highest_share": HIGHEST_SHARE,
            "iou": _number(self.iou),
            "iou_interval": self.iou_interval.to_list(),
            "correlation": _number(self.correlation),
            "correlation_interval": self.correlation_interval.to_list(),
            "flat": self.flat,
            "same_winner": self.same_winner,
            "iou_of_same_winner": _number(self.iou_of_same_winner),
        }


class MapComparison:
    """Takes the maps of both models batch by batch."""

    def __init__(self) -> None:
        self._ious: list[float] = []
        self._correlations: list[float] = []
        self._same: list[bool] = []

    def add(self, first: Mapped, second: Mapped) -> None:
        """Take the answers of both to the same pictures.

        Maps of different sizes are compared at the first one's, by bilinear interpolation.
        """
        for one, other in zip(first.maps, second.maps, strict=True):
            other = _resized(other, one.shape)
            self._ious.append(top_overlap(one, other))
            self._correlations.append(correlation(one, other))
        same = first.logits.argmax(axis=1) == second.logits.argmax(axis=1)
        self._same.extend(same.tolist())

    def overlap(self) -> MapOverlap | None:
        """Return the figures; None before any picture."""
        if not self._ious:
            return None
        ious, same = np.array(self._ious), np.array(self._same)
        known = np.array([each for each in self._correlations if math.isfinite(each)])
        return MapOverlap(
            images=len(ious),
            iou=float(ious.mean()),
            iou_interval=mean_interval(ious),
            correlation=float(known.mean()) if known.size else math.nan,
            correlation_interval=mean_interval(known),
            flat=len(ious) - known.size,
            same_winner=int(same.sum()),
            iou_of_same_winner=float(ious[same].mean()) if same.any() else math.nan,
        )


def top_overlap(one: NDArray[np.float32], other: NDArray[np.float32]) -> float:
    """Return intersection over union of the highest fifths of two maps (height, width).

    Both have equally many cells; among equal values the first cell in reading order counts.
    """
    cells = max(1, round(HIGHEST_SHARE * one.size))
    highest = [
        set(np.argsort(-each.ravel(), kind="stable")[:cells].tolist()) for each in (one, other)
    ]
    return len(highest[0] & highest[1]) / len(highest[0] | highest[1])


def correlation(one: NDArray[np.float32], other: NDArray[np.float32]) -> float:
    """Return Pearson's correlation of two maps; NaN where one has the same value everywhere."""
    a, b = (each.ravel().astype(np.float64) - float(each.mean()) for each in (one, other))
    if not (np.ptp(one) > 0 and np.ptp(other) > 0):
        return math.nan
    return float(a @ b / math.sqrt(float(a @ a) * float(b @ b)))


def _resized(values: NDArray[np.float32], shape: tuple[int, ...]) -> NDArray[np.float32]:
    if values.shape == shape:
        return values
    picture = Image.fromarray(values.astype(np.float32))
    return np.asarray(picture.resize((shape[1], shape[0]), Image.Resampling.BILINEAR), np.float32)


def _number(value: float) -> float | None:
    return value if math.isfinite(value) else None
