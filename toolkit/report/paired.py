"""Paired comparisons, read from files or made from two scores of the same images."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from toolkit.comparison import Comparison
from toolkit.record_file import damaged
from toolkit.report.model import Span
from toolkit.robustness import Robustness, robustness_from_dict
from toolkit.statistics import wilson_interval

__all__ = ["ChangedAnswer", "Paired", "paired_from_comparison", "paired_from_dict"]

_REMAKE = "edgekit compare A B --images DIR --out FILE.comparison.json"


@dataclass(frozen=True)
class ChangedAnswer:
    """One image that the two name differently; `effect` is "lost", "gained" or ""."""

    path: str
    digest: str
    label: str
    before: str
    after: str
    effect: str


@dataclass(frozen=True)
class Paired:
    """How `after` differs from the reference `before`; the digests are of the files scored."""

    before: str
    after: str
    before_digest: str
    after_digest: str
    images: str
    """The folder of images, as the command was given it."""
    n: int
    top1_before: float
    top1_after: float
    only_before: int
    only_after: int
    drop_points: float
    drop_interval: Span
    agreement: float
    mcnemar_p: float
    changed: tuple[ChangedAnswer, ...]
    notes: tuple[str, ...] = ()
    robustness: Robustness | None = None

    def top1_interval(self, digest: str) -> Span:
        """Return the interval of the accuracy of one of the two (Wilson)."""
        top1 = self.top1_before if digest == self.before_digest else self.top1_after
        interval = wilson_interval(round(top1 * self.n), self.n)
        return interval.low, interval.high


def paired_from_comparison(comparison: Comparison) -> Paired:
    """Return the same facts without the predictions."""
    return paired_from_dict(comparison.to_dict(), where=Path(comparison.b.model))


def paired_from_dict(values: Mapping[str, Any], *, where: Path) -> Paired:
    """Return what `Comparison.to_dict` described; `where` names the file for the error.

    Raises InputError when values are missing, of the wrong kind or contradict each other.
    """
    corrupted = values.get("robustness")
    try:
        paired = Paired(
            before=str(values["a"]),
            after=str(values["b"]),
            before_digest=str(values["digest_a"]),
            after_digest=str(values["digest_b"]),
            images=str(values["images"]),
            n=int(values["n"]),
            top1_before=float(values["top1_a"]),
            top1_after=float(values["top1_b"]),
            only_before=int(values["only_a"]),
            only_after=int(values["only_b"]),
            drop_points=float(values["drop_points"]),
            drop_interval=_span(values["drop_interval"]),
            agreement=float(values["agreement"]),
            mcnemar_p=float(values["mcnemar_p"]),
            changed=tuple(
                ChangedAnswer(
                    *(str(flip[key]) for key in ("path", "image", "label", "a", "b", "effect"))
                )
                for flip in values["flips"]
            ),
            notes=tuple(map(str, values.get("notes", ()))),
            robustness=robustness_from_dict(corrupted) if corrupted else None,
        )
        lost, gained = paired.only_before, paired.only_after
        fits = (
            paired.n > 0
            and 0 <= lost + gained <= len(paired.changed) <= paired.n
            and abs(paired.drop_points - 100.0 * (lost - gained) / paired.n) < 1e-6
            and sum(flip.effect == "lost" for flip in paired.changed) == lost
            and sum(flip.effect == "gained" for flip in paired.changed) == gained
        )
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise damaged(where, f"{type(error).__name__}: {error}", remake=_REMAKE) from error
    if not fits:
        raise damaged(where, "its figures contradict each other", remake=_REMAKE)
    return paired


def _span(ends: Any) -> Span:
    low, high = (None if end is None else float(end) for end in ends)
    return low, high
