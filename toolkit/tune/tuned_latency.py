"""What became of a latency budget: predicted from layer times, and measured where it runs here."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from toolkit.latency import Latency
from toolkit.statistics import Ratio
from toolkit.statistics.budgets import MET, NOT_MET, UNDECIDED
from toolkit.tune.latency_plan import LatencyPlan
from toolkit.tune.layer_times import LayerTimes

__all__ = ["TunedLatency"]


@dataclass(frozen=True)
class TunedLatency:
    """p50 of the tuned model against `max_ms`.

    `measured` is a run of its cpu engine, `ratio` how many times as long as plain INT8 that took in
    turns with it. Without `measured` everything rests on the prediction, and says so.
    """

    max_ms: float
    predicted_ms: float
    plan: LatencyPlan
    times: LayerTimes
    layers: tuple[str, ...]
    """All that INT8 can run."""
    measured: Latency | None = None
    ratio: Ratio | None = None
    not_measured: str = ""
    """Why there is no measurement where one was wanted."""

    @property
    def basis(self) -> str:
        """Return what the verdict rests on: "measured" or "predicted"."""
        return "predicted" if self.measured is None else "measured"

    @property
    def verdict(self) -> str:
        """Return MET, NOT_MET, or UNDECIDED where the measured p50's interval holds the budget."""
        if self.not_measured:
            return UNDECIDED
        if self.measured is None:
            return MET if self.predicted_ms <= self.max_ms else NOT_MET
        interval = self.measured.interval(50)
        if interval.high <= self.max_ms:
            return MET
        return NOT_MET if interval.low > self.max_ms else UNDECIDED

    @property
    def holds_back(self) -> bool:
        """Tell whether layers had to stay INT8 for the sake of the latency budget."""
        return self.plan.left_out > 0 or not self.plan.reached

    @property
    def measured_ms(self) -> float:
        """Return the measured p50, or the predicted one where nothing was measured."""
        return self.predicted_ms if self.measured is None else self.measured.percentile(50)

    def line(self) -> str:
        """Return the verdict with its figures."""
        if self.measured is None:
            figures = f"p50 {self.predicted_ms:.3f} ms predicted, not measured"
        else:
            interval = self.measured.interval(50)
            figures = (
                f"p50 {self.measured.percentile(50):.3f} ms measured ({interval.low:.3f} to "
                f"{interval.high:.3f})"
            )
        return f"latency {self.verdict}: {figures}, budget {self.max_ms:g} ms"

    def advice(self) -> str:
        """Return what would help where the latency budget was not shown to be met, or ""."""
        if self.verdict == MET:
            return ""
        if self.not_measured:
            return f"its latency was not measured: {self.not_measured.rstrip('.')}"
        if self.verdict == UNDECIDED:
            return "the interval of p50 holds the latency budget: tune again on a quieter machine"
        if not self.plan.reached:
            return (
                f"no choice of layers comes within {self.max_ms:g} ms: this is the fastest one "
                f"found (when layers were timed, all INT8 took {self.times.int8_ms:.3f} ms, float "
                f"{self.times.float_ms:.3f})"
            )
        return "measured, it is slower than its layer times predict: this is the last one tried"

    def notes(self) -> tuple[str, ...]:
        """Return what a reader of the figures must know."""
        said = [f"predicted p50 {self.predicted_ms:.3f} ms; all INT8 {self.times.int8_ms:.3f} ms"]
        if self.ratio is not None:
            interval = self.ratio.interval
            said.append(
                f"{self.ratio.value:.3f} times as long as plain INT8 ({interval.low:.3f} to "
                f"{interval.high:.3f}), measured in turns"
            )
        unstable = self.measured.unstable if self.measured else ()
        return (*said, *self.times.remarks(self.layers), *unstable)

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON values."""
        measured = self.measured
        return {
            "verdict": self.verdict,
            "basis": self.basis,
            "max_ms": self.max_ms,
            "predicted_ms": self.predicted_ms,
            "measured_p50_ms": measured.percentile(50) if measured else None,
            "measured_p50_interval_ms": measured.interval(50).to_list() if measured else None,
            "ratio_to_int8": self.ratio.value if self.ratio else None,
            "ratio_to_int8_interval": self.ratio.interval.to_list() if self.ratio else None,
            "int8_ms": self.times.int8_ms,
            "float_ms": self.times.float_ms,
            "attributed_share_float": self.times.float_share,
            "attributed_share_int8": self.times.int8_share,
            "layers_left_out": self.plan.left_out,
            "added_ms": self.times.added_ms,
            "source": self.times.source,
            "conditions": measured.conditions if measured else None,
        }
