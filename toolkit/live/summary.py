"""What a live run measured, as a record, as JSON and as the lines a person reads."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from toolkit.live.samples import STAGES, Samples
from toolkit.statistics import percentile, trusted

__all__ = ["LiveSummary", "Spread", "spread_of"]

_PERCENTILES = (50, 95, 99)


@dataclass(frozen=True)
class Spread:
    """Three nearest-rank percentiles of `n` samples, in milliseconds; NaN where n is 0."""

    p50: float
    p95: float
    p99: float
    n: int

    def to_dict(self) -> dict[str, float | None]:
        """Return p50, p95 and p99; null where there were no samples."""
        return {"p50": _number(self.p50), "p95": _number(self.p95), "p99": _number(self.p99)}

    def text(self, *, doubt: bool = False) -> str:
        """Return `p50 6.41 ms  p95 7.02 ms  p99 9.87 ms?`; with `doubt`, all get the mark."""
        figures = zip(_PERCENTILES, (self.p50, self.p95, self.p99), strict=True)
        return "  ".join(
            f"p{q} {value:.2f} ms{'?' if doubt or not trusted(self.n, q) else ''}"
            for q, value in figures
        )


def spread_of(samples_ms: Sequence[float]) -> Spread:
    """Return p50, p95 and p99 of raw samples."""
    if not samples_ms:
        return Spread(math.nan, math.nan, math.nan, 0)
    p50, p95, p99 = (percentile(samples_ms, q) for q in _PERCENTILES)
    return Spread(p50, p95, p99, len(samples_ms))


@dataclass(frozen=True)
class LiveSummary:
    """Times are milliseconds from the camera's timestamp, whose origin says how true they are.

    `frames` got a result, `dropped` lost their place to a newer one that did while the engine was
    busy, `damaged` could not be decoded. `clock_faults` frames had times that ran backwards; they
    are in no percentile. `fps` is results per second between the first and the last.
    """

    camera: str
    policy: str
    ended: str
    """Why it ended: "frame limit", "stopped" or what the camera said."""
    frames: int
    dropped: int
    damaged: int
    clock_faults: int
    warmup: int
    smooth: int
    """How many frames' probabilities an answer is the mean of; 1: each frame on its own."""
    min_confidence: float
    uncertain: int
    """Answers whose best guess was below `min_confidence`."""
    fps: float
    timestamp_origin: str
    capture_to_result_ms: Spread
    frame_age_ms: Spread
    stages_ms: dict[str, Spread]
    cpu_cores_used: float
    conditions: dict[str, Any]
    samples: Samples

    @property
    def jitter_ms(self) -> float:
        """Return p99 - p50 of capture-to-result."""
        return self.capture_to_result_ms.p99 - self.capture_to_result_ms.p50

    def to_dict(self, *, raw: bool = False) -> dict[str, Any]:
        """Return plain JSON values; with `raw`, the samples of every stage too."""
        n = self.capture_to_result_ms.n
        values = {
            "camera": self.camera,
            "policy": self.policy,
            "ended": self.ended,
            "frames": self.frames,
            "dropped": self.dropped,
            "damaged": self.damaged,
            "clock_faults": self.clock_faults,
            "warmup": self.warmup,
            "smooth": self.smooth,
            "min_confidence": self.min_confidence,
            "uncertain": self.uncertain,
            "fps": _number(self.fps),
            "timestamp_origin": self.timestamp_origin,
            "capture_to_result_ms": self.capture_to_result_ms.to_dict(),
            "frame_age_ms": self.frame_age_ms.to_dict(),
            "jitter_ms": _number(self.jitter_ms),
            "stages_ms": {name: spread.to_dict() for name, spread in self.stages_ms.items()},
            "samples": n,
            "untrusted_percentiles": [f"p{q}" for q in _PERCENTILES if not trusted(n, q)],
            "cpu_cores_used": round(self.cpu_cores_used, 3),
            "conditions": self.conditions,
        }
        if raw:
            values["samples_ms"] = {stage: self.samples.stage_ms(stage) for stage in STAGES}
        return values

    def lines(self) -> list[str]:
        """Return the summary for a person; `?` marks a figure that should not be relied on."""
        if not self.frames:
            return [f"no frame was answered ({self.policy}; {self.ended})"]
        weak = self.timestamp_origin == "read"  # the true age is larger
        many = f"{self.frames} frames at {self.fps:.1f} per second"
        lines = [
            f"{many if self.frames > 1 else '1 frame'}, {self.dropped} dropped "
            f"({self.policy}; {self.ended})",
            f"capture-to-result  {self.capture_to_result_ms.text(doubt=weak)}",
            f"frame age          {self.frame_age_ms.text(doubt=weak)}",
        ]
        lines += [f"  {name:<16} {spread.text()}" for name, spread in self.stages_ms.items()]
        lines.append(
            f"timestamps: {self.timestamp_origin}  jitter {self.jitter_ms:.2f} ms  "
            f"{self.cpu_cores_used:.2f} cores used  ({self.warmup} warm-up runs apart)"
        )
        if self.smooth > 1:
            lines.append(f"answers are means over {self.smooth} frames; ages are the newest one's")
        if self.min_confidence:
            lines.append(
                f"{self.uncertain} answers were uncertain "
                f"(confidence below {self.min_confidence:g})"
            )
        if self.damaged:
            lines.append(f"{self.damaged} frames could not be decoded")
        if self.clock_faults:
            lines.append(
                f"{self.clock_faults} frames had times that ran backwards: they are left out"
            )
        return lines


def _number(value: float) -> float | None:
    return None if math.isnan(value) else round(value, 4)  # a tenth of a microsecond
