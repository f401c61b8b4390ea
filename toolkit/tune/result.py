"""What tuning found: the verdict with its bound, the layers in float, and the trade-off curve."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from toolkit.artifacts import OnnxModel
from toolkit.statistics import images_to_decide
from toolkit.statistics.budgets import MET, NOT_MET, UNDECIDED, PairedDrop
from toolkit.tune.tuned_latency import TunedLatency

__all__ = ["CurvePoint", "Tuned", "curve_path", "journal_path", "page_path"]


@dataclass(frozen=True)
class CurvePoint:
    """One candidate on the images of the search: `float_layers` of the ranked layers in float."""

    float_layers: int
    last: str
    """The layer that was added last; "" for none."""
    int8_mac_share: float
    seen: PairedDrop
    chosen: bool
    predicted_ms: float | None = None
    """Its latency as layer times predict it; None without a latency budget."""


@dataclass(frozen=True)
class Tuned:
    """The tuned model. `judged` is its drop on images that neither calibration nor search saw.

    `max_drop` is in percentage points, `confidence` one-sided, a fraction. `layers` is how many
    INT8 could run, `ranking` holds each with the error of the logits that it makes alone, the
    largest first (empty where INT8 fitted as it was, and none was asked for); `kept` are the first
    of them, or under a latency budget the first in the order of its plan.

    `images_run` counts inferences of single images in this run, on both sides of every comparison
    and one per layer and image of the ranking (which runs only the part of the network behind the
    layer); `images_recalled` those that the journal already held.
    """

    model: OnnxModel
    max_drop: float
    confidence: float
    judged: PairedDrop
    layers: int
    kept: tuple[str, ...]
    ranking: tuple[tuple[str, float], ...]
    curve: tuple[CurvePoint, ...]
    fits_search: bool
    """Whether any candidate fitted the budget on the images of the search."""
    images_run: int
    images_recalled: int
    seconds: float
    notes: tuple[str, ...] = ()
    latency: TunedLatency | None = None
    """What became of the latency budget; None where there was none."""

    @property
    def accuracy_verdict(self) -> str:
        """Return "met", "not met" or "undecided" for the accuracy budget."""
        return self.judged.verdict(self.max_drop / 100.0, self.confidence)

    @property
    def verdict(self) -> str:
        """Return "met" where every budget is, "not met" where one is not, or "undecided"."""
        verdicts = (self.accuracy_verdict, self.latency.verdict if self.latency else MET)
        return next((word for word in (NOT_MET, UNDECIDED) if word in verdicts), MET)

    @property
    def bound_points(self) -> float:
        """Return what the true drop stays below, in percentage points."""
        return 100.0 * self.judged.at_most(self.confidence)

    @property
    def images_to_decide(self) -> int | None:
        """Return how many images would decide an undecided verdict, as far as can be told."""
        if self.accuracy_verdict != UNDECIDED:
            return None
        seen = self.judged
        needed = images_to_decide(
            seen.only_a,
            seen.only_b,
            seen.n,
            limit=self.max_drop / 100.0,
            confidence=self.confidence,
        )
        return None if needed is None else max(needed, self.judged.n + 1)

    def line(self) -> str:
        """Return the result as one line."""
        accuracy = (
            f"drop {100.0 * self.judged.drop:.2f} points, at most {self.bound_points:.2f} with "
            f"{self.confidence:.1%} confidence, budget {self.max_drop:.2f}"
        )
        kept = f"{len(self.kept)} of {self.layers} layers kept in float"
        if self.latency is None:
            return f"{self.model.path}  {self.verdict}: {accuracy}; {kept}"
        return (
            f"{self.model.path}  {self.verdict}: accuracy {self.accuracy_verdict}: {accuracy}; "
            f"{self.latency.line()}; {kept}"
        )

    def advice(self) -> str:
        """Return what would help where the budget was not shown to be met, or ""."""
        if self.verdict == MET:
            return ""
        text = [self.latency.advice()] if self.latency and self.latency.advice() else []
        if not self.fits_search:
            text.append(self._why_nothing_fits())
        if self.accuracy_verdict == UNDECIDED:
            needed = self.images_to_decide
            text.append(
                f"about {needed} images to judge on would decide, {self.judged.n} were there"
                if needed is not None
                else "the drop seen lies at the budget: no number of images would decide"
            )
        return "; ".join(text)

    def _why_nothing_fits(self) -> str:
        if self.latency is None or not self.latency.holds_back:
            return "no candidate fits the budget: this is the best one found"
        if not self.latency.plan.reached:
            return "nor does it fit the accuracy budget"
        return (
            f"no candidate within {self.latency.max_ms:g} ms fits the accuracy budget: latency "
            "wins, and this is the best one found within it"
        )

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON values: what `--json` prints and the file beside the model holds."""
        return {
            "model": str(self.model.path),
            "verdict": self.verdict,
            "accuracy_verdict": self.accuracy_verdict,
            "drop_points": 100.0 * self.judged.drop,
            "bound_points": self.bound_points,
            "lower_bound_points": 100.0 * self.judged.at_least(self.confidence),
            "max_drop": self.max_drop,
            "confidence": self.confidence,
            "n": self.judged.n,
            "only_float_right": self.judged.only_a,
            "only_tuned_right": self.judged.only_b,
            "images_to_decide": self.images_to_decide,
            "layers": self.layers,
            "kept_in_float": list(self.kept),
            "fits_search": self.fits_search,
            "curve": [_point(point, self.confidence) for point in self.curve],
            "ranking": [{"layer": name, "error": error} for name, error in self.ranking],
            "images_run": self.images_run,
            "images_recalled": self.images_recalled,
            "seconds": round(self.seconds, 2),
            "digest": self.model.digest,
            "notes": list(self.notes),
            "latency": self.latency.to_dict() if self.latency else None,
        }


def journal_path(out: Path) -> Path:
    """Return where the journal of a tuned `model.int8.onnx` lies: `model.tune-journal.json`."""
    return _beside(out, "tune-journal.json")


def curve_path(out: Path) -> Path:
    """Return where its result lies as JSON: `model.tune.json`."""
    return _beside(out, "tune.json")


def page_path(out: Path) -> Path:
    """Return where its trade-off curve lies as a page: `model.tune.html`."""
    return _beside(out, "tune.html")


def _beside(out: Path, ending: str) -> Path:
    stem = out.name.removesuffix(".onnx").removesuffix(".int8")
    return out.with_name(f"{stem}.{ending}")


def _point(point: CurvePoint, confidence: float) -> dict[str, Any]:
    return {
        "float_layers": point.float_layers,
        "last": point.last,
        "int8_mac_share": point.int8_mac_share,
        "n": point.seen.n,
        "drop_points": 100.0 * point.seen.drop,
        "bound_points": 100.0 * point.seen.at_most(confidence),
        "chosen": point.chosen,
        "predicted_ms": point.predicted_ms,
    }
