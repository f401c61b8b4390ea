"""What the search found: where the contract departs from the evidence, and what that costs."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import Any

from toolkit.preprocess import Preprocess

__all__ = ["Deviation", "PreprocessCheck", "Tried"]


@dataclass(frozen=True)
class Deviation:
    """One aspect in which the contract differs from what the evidence asks for."""

    aspect: str
    contract: str
    found: str


@dataclass(frozen=True)
class Tried:
    """One variant: what it changes, its top-1, and its SQNR (None without expected logits).

    `p` is the two-sided p-value of McNemar's test against where the round started.
    """

    changes: str
    top1: float
    sqnr_db: float | None
    p: float | None


@dataclass(frozen=True)
class PreprocessCheck:
    """`verdict`: "right", "wrong" (see `deviations`) or "undecided"."""

    model: str
    evidence: str
    """"labels" or "expected"."""
    samples: int
    verdict: str
    deviations: tuple[Deviation, ...]
    top1_contract: float
    """With expected logits the share of the expected answers: these stand for labels then."""
    top1_found: float
    cost_points: float
    cost_interval: tuple[float, float]
    """95 %, paired (Tango)."""
    sqnr_contract_db: float | None
    sqnr_found_db: float | None
    preprocess: Preprocess
    """What was found, as a contract holds it (it has no field for rounding, EXIF and decoder)."""
    tried: tuple[Tried, ...]
    notes: tuple[str, ...] = ()

    def line(self) -> str:
        """Return the result as one line."""
        said = {
            "right": "its contract prepares pictures rightly",
            "undecided": "undecided",
            "wrong": "; ".join(
                f"{d.aspect}: the contract has {d.contract}, the model wants {d.found}"
                for d in self.deviations
            ),
        }[self.verdict]
        figures = [f"{self.samples} images"]
        figures.append(f"top-1 {100 * self.top1_contract:.1f} %")
        if self.verdict == "wrong":
            low, high = self.cost_interval
            figures[-1] += f" instead of {100 * self.top1_found:.1f} %"
            figures.append(f"it costs {self.cost_points:.1f} points ({low:.1f} to {high:.1f})")
        if self.sqnr_contract_db is not None and self.sqnr_found_db is not None:
            figures.append(f"logits {_db(self.sqnr_contract_db)}")
            if self.verdict == "wrong":
                figures[-1] += f" instead of {_db(self.sqnr_found_db)}"
        return f"{self.model}  {said}  ({', '.join(figures)})"

    def details(self, *, rows: int = 12) -> tuple[str, ...]:
        """Return the best variants tried and the notes, for people."""
        ordered = sorted(
            self.tried,
            key=lambda t: -(t.top1 if t.sqnr_db is None else t.sqnr_db),
        )
        lines = [
            "  ".join(
                part
                for part in (
                    f"top-1 {100 * t.top1:5.1f} %",
                    f"logits {_db(t.sqnr_db)}" if t.sqnr_db is not None else "",
                    f"p {t.p:.2g}" if t.p is not None else "",
                    t.changes,
                )
                if part
            )
            for t in ordered[:rows]
        ]
        return (*lines, *self.notes)

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON values; infinite decibels (equal logits) are null."""
        values = asdict(self)
        for holder in (values, *values["tried"]):
            for key, value in holder.items():
                if isinstance(value, float) and not math.isfinite(value):
                    holder[key] = None
        return values


def _db(value: float) -> str:
    return f"{value:.1f} dB" if math.isfinite(value) else ("exact" if value > 0 else "no signal")
