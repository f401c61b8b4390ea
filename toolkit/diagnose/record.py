"""What a diagnosis found: errors layer by layer, ranges, culprits in order, changes tried."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import Any

from calibration.histogram import Histogram
from calibration.table import Range
from toolkit.comparison import Comparison

__all__ = ["Diagnosis", "Finding", "LayerLoss", "Stage", "TensorLoss", "Trial"]


@dataclass(frozen=True)
class LayerLoss:
    """One Conv, Gemm or MatMul: `reference` is its name in the reference, `layer` in the file.

    Local: only this layer (its input pair, weight and bias) is INT8. Accumulated: all before it
    are, too. Both against the reference's output of the layer.
    """

    layer: str
    reference: str
    weight_sqnr_db: float
    local_sqnr_db: float
    local_cosine: float
    accumulated_sqnr_db: float
    accumulated_cosine: float


@dataclass(frozen=True)
class TensorLoss:
    """One pair: the range in the file, and the one our calibration would choose on these images.

    The two SQNR are of the tensor alone, rounded and clipped by either range.
    """

    tensor: str
    range: Range
    best: Range
    sqnr_db: float
    best_sqnr_db: float
    histogram: Histogram


@dataclass(frozen=True)
class Trial:
    """What one change did: the logits' SQNR before and after, and the share of all error removed.

    The share is of the squared error that the model has as it is, against the reference's logits.
    """

    sqnr_before_db: float
    sqnr_after_db: float
    removed: float


@dataclass(frozen=True)
class Finding:
    """Something that is wrong (`fault`) or merely costs accuracy, and the change that was tried.

    `kind`: "preprocess", "range", "weight", "axis", "bias" or "layer".
    """

    kind: str
    where: str
    text: str
    change: str
    fault: bool
    trial: Trial

    @property
    def rank(self) -> tuple[bool, float]:
        """Return its place among the findings, lowest first: faults, then by the error removed.

        A wrong axis ranks as if it removed a quarter at least: that TensorRT runs the layer in
        float is not in the logits.
        """
        removed = self.trial.removed
        return not self.fault, -(max(removed, 0.25) if self.kind == "axis" else removed)


@dataclass(frozen=True)
class Stage:
    """One step of the way from reference to engine: how much of the answers it changes."""

    name: str
    sqnr_db: float
    agreement: float
    top1_before: float
    top1_after: float


@dataclass(frozen=True)
class Diagnosis:
    """Where the accuracy went. `findings` come faults first, then by the error they removed."""

    model: str
    reference: str
    """"" where the float skeleton of the model itself served as the reference."""
    samples: int
    stages: tuple[Stage, ...]
    findings: tuple[Finding, ...]
    together: Trial | None
    """All ranges that are at fault chosen anew at once; None for fewer than two."""
    layers: tuple[LayerLoss, ...]
    tensors: tuple[TensorLoss, ...]
    not_compared: tuple[str, ...]
    comparison: Comparison
    notes: tuple[str, ...] = ()

    @property
    def best(self) -> Finding | None:
        """Return the change that removed the most error; None where none removed any."""
        helped = [finding for finding in self.findings if finding.trial.removed > 0.0]
        return max(helped, key=lambda finding: finding.trial.removed, default=None)

    def line(self) -> str:
        """Return the result as one line."""
        start = f"{self.model}  top-1 {100 * self.stages[0].top1_before:.1f} -> "
        start += f"{100 * self.comparison.b.top1:.1f} % on {self.samples} images"
        if not self.findings:
            return f"{start}  nothing stands out"
        first, best = self.findings[0], self.best
        verdict = "first suspect" if first.fault else "no fault found; costs most"
        said = f"{start}  {verdict}: {first.text}"
        return said if best is None else f"{said}  best change: {_tried(best)}"

    def lines(self, *, rows: int = 10) -> tuple[str, ...]:
        """Return the tables for a terminal: stages, findings, and the worst layers."""
        made = [f"{'step':34} {'SQNR dB':>8} {'same answer':>12} {'top-1 %':>16}"]
        made += [
            f"{s.name:34} {_db(s.sqnr_db):>8} {100 * s.agreement:11.1f}% "
            f"{100 * s.top1_before:6.1f} -> {100 * s.top1_after:5.1f}"
            for s in self.stages
        ]
        made += ["", "changes tried, in order of suspicion:"]
        made += [
            f"{'fault' if f.fault else 'cost':5} {_gain(f.trial)}  {f.text}; {f.change}"
            for f in self.findings[:rows]
        ]
        if self.together is not None:
            made.append(f"all ranges at fault at once: {_gain(self.together)}")
        made += ["", f"{'layers with the largest local error':40} {'local':>7} {'so far':>7} dB"]
        worst = sorted(self.layers, key=lambda layer: layer.local_sqnr_db)[:rows]
        made += [
            f"{layer.layer[-40:]:40} {_db(layer.local_sqnr_db):>7} "
            f"{_db(layer.accumulated_sqnr_db):>7}"
            for layer in worst
        ]
        return (*made, *self.not_compared, *self.notes)

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON values; infinite decibels (no difference) are null."""
        best = self.best
        values = {
            "model": self.model,
            "reference": self.reference,
            "samples": self.samples,
            "stages": [asdict(stage) for stage in self.stages],
            "findings": [asdict(finding) for finding in self.findings],
            "best": asdict(best) if best else None,
            "together": asdict(self.together) if self.together else None,
            "layers": [asdict(layer) for layer in self.layers],
            "tensors": [
                {
                    "tensor": t.tensor,
                    "range": [t.range.low, t.range.high],
                    "best_range": [t.best.low, t.best.high],
                    "seen": [t.histogram.low, t.histogram.high],
                    "sqnr_db": t.sqnr_db,
                    "best_sqnr_db": t.best_sqnr_db,
                }
                for t in self.tensors
            ],
            "not_compared": list(self.not_compared),
            "comparison": self.comparison.to_dict(),
            "notes": list(self.notes),
        }
        return {key: _finite(value) for key, value in values.items()}


def _gain(trial: Trial) -> str:
    return (
        f"{100 * trial.removed:6.1f} % of the error  {_db(trial.sqnr_before_db)} -> "
        f"{_db(trial.sqnr_after_db)} dB"
    )


def _tried(finding: Finding) -> str:
    trial = finding.trial
    return (
        f"{finding.change}, {_db(trial.sqnr_before_db)} -> {_db(trial.sqnr_after_db)} dB, "
        f"{100 * trial.removed:.0f} % of the error gone"
    )


def _db(value: float) -> str:
    return f"{value:.1f}" if math.isfinite(value) else ("exact" if value > 0 else "-inf")


def _finite(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _finite(entry) for key, entry in value.items()}
    if isinstance(value, (list, tuple)):
        return [_finite(entry) for entry in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
