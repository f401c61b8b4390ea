"""How often a model is right: every prediction, and what follows from them."""

from __future__ import annotations

from collections import Counter
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from toolkit.predictions import Prediction
from toolkit.record_file import damaged, read_record, write_record
from toolkit.statistics import (
    ConfidenceGap,
    Interval,
    confidence_error,
    images_for_accuracy,
    wilson_interval,
)

__all__ = ["Accuracy", "ClassAccuracy", "Confusion", "read_accuracy", "write_accuracy"]

_KIND = "edgekit accuracy"
_VERSION = 1
_REMAKE = "edgekit score MODEL --images DIR --out FILE.accuracy.json"
_TOP = 5


@dataclass(frozen=True)
class ClassAccuracy:
    """How many of the `n` images of one class are called by its name."""

    label: str
    id: str
    n: int
    right: int

    @property
    def top1(self) -> float:
        """Return the share that is right, a fraction of 1."""
        return self.right / self.n


@dataclass(frozen=True)
class Confusion:
    """How many images of class `label` are called `predicted`; both are class names."""

    label: str
    predicted: str
    n: int


@dataclass(frozen=True)
class Accuracy:
    """The predictions of one model or engine on a folder of images, in the order of their paths."""

    model: str
    digest: str
    """SHA-256 of the model or engine file."""
    backend: str
    precision: str
    images: str
    batch_size: int
    labels: tuple[str, ...]
    ids: tuple[str, ...]
    predictions: tuple[Prediction, ...]
    notes: tuple[str, ...] = ()

    @property
    def n(self) -> int:
        """Return how many images were scored."""
        return len(self.predictions)

    @property
    def top1(self) -> float:
        """Return the share of images whose likeliest class is the right one."""
        return sum(prediction.right for prediction in self.predictions) / self.n

    @property
    def top5(self) -> float:
        """Return the share of images with the right class among the likeliest five."""
        return sum(prediction.rank < _TOP for prediction in self.predictions) / self.n

    @property
    def top1_interval(self) -> Interval:
        """Return the 95 % interval of top-1 (Wilson)."""
        return wilson_interval(sum(p.right for p in self.predictions), self.n)

    def per_class(self) -> tuple[ClassAccuracy, ...]:
        """Return the accuracy of every class that has images, in the order of the logits."""
        counts = Counter(prediction.label for prediction in self.predictions)
        right = Counter(prediction.label for prediction in self.predictions if prediction.right)
        return tuple(
            ClassAccuracy(self.labels[label], self.ids[label], n, right[label])
            for label, n in sorted(counts.items())
        )

    def confusion(self) -> tuple[Confusion, ...]:
        """Return the entries off the diagonal of the confusion matrix, the most frequent first."""
        counts = Counter((p.label, p.predicted) for p in self.predictions if not p.right)
        ordered = sorted(counts.items(), key=lambda entry: (-entry[1], entry[0]))
        return tuple(
            Confusion(self.labels[label], self.labels[predicted], n)
            for (label, predicted), n in ordered
        )

    @cached_property
    def confidence_error(self) -> ConfidenceGap:
        """Return the expected calibration error of the predicted classes' probabilities."""
        return confidence_error(
            np.array([p.confidence for p in self.predictions], dtype=np.float64),
            np.array([p.right for p in self.predictions], dtype=np.bool_),
        )

    def plan(self, points: float) -> str:
        """Return how many images bound top-1 to `points` either way, if it stays what it is."""
        needed = images_for_accuracy(self.top1, points=points)
        return (
            f"about {needed} images bound top-1 to {points:g} points either way; here are {self.n}"
        )

    def line(self) -> str:
        """Return the result as one line."""
        low, high = (100.0 * end for end in (self.top1_interval.low, self.top1_interval.high))
        return (
            f"{self.model}  top-1 {100.0 * self.top1:.2f} % ({low:.1f} to {high:.1f})  "
            f"top-5 {100.0 * self.top5:.2f} %  {self.n} images"
        )

    def to_dict(self, *, raw: bool = False) -> dict[str, Any]:
        """Return plain JSON values; with `raw`, every prediction, which a comparison needs."""
        values: dict[str, Any] = {
            "model": self.model,
            "n": self.n,
            "top1": self.top1,
            "top5": self.top5,
            "top1_interval": self.top1_interval.to_list(),
            "digest": self.digest,
            "backend": self.backend,
            "precision": self.precision,
            "images": self.images,
            "batch_size": self.batch_size,
            "per_class": [{**asdict(each), "top1": each.top1} for each in self.per_class()],
            "confusion": [asdict(each) for each in self.confusion()],
            "ece": self.confidence_error.value,
            "ece_interval": self.confidence_error.interval.to_list(),
            "ece_by_chance": self.confidence_error.chance,
            "notes": list(self.notes),
        }
        if raw:
            values["labels"], values["ids"] = list(self.labels), list(self.ids)
            values["predictions"] = [asdict(prediction) for prediction in self.predictions]
        return values


def write_accuracy(path: Path, accuracy: Accuracy) -> None:
    """Write the accuracy with every prediction to `path`, usually `*.accuracy.json`."""
    write_record(path, accuracy.to_dict(raw=True), kind=_KIND, version=_VERSION)


def read_accuracy(path: Path) -> Accuracy:
    """Return the accuracy in `path`.

    Raises InputError when the file is missing, cut off, from a newer Edgekit, or when its figures
    do not follow from its predictions.
    """
    values = read_record(path, kind=_KIND, version=_VERSION, remake=_REMAKE)
    try:
        words = {n: str(values[n]) for n in ("model", "digest", "backend", "precision", "images")}
        accuracy = Accuracy(
            **words,
            batch_size=int(values["batch_size"]),
            labels=tuple(map(str, values["labels"])),
            ids=tuple(map(str, values["ids"])),
            predictions=tuple(Prediction(**each) for each in values["predictions"]),
            notes=tuple(map(str, values["notes"])),
        )
        fits = (values["n"], values["top1"], values["top5"]) == (
            accuracy.n,
            accuracy.top1,
            accuracy.top5,
        )
        known = all(
            0 <= index < len(accuracy.labels) == len(accuracy.ids)
            for each in accuracy.predictions
            for index in (each.label, each.predicted)
        )
    except (KeyError, TypeError, ValueError, ZeroDivisionError) as error:
        raise damaged(path, f"{type(error).__name__}: {error}", remake=_REMAKE) from error
    if not fits or not known:
        raise damaged(path, "its figures do not follow from its predictions", remake=_REMAKE)
    return accuracy
