"""What a report is made of: frozen records, independent of the files they were read from."""

from __future__ import annotations

from dataclasses import dataclass

from toolkit.kernel_time import KernelTime

__all__ = [
    "BUILT_ONLY",
    "MEASURED_HERE",
    "SCORED_ONLY",
    "UNSTABLE",
    "CalibrationUsed",
    "ClassesOf",
    "ConditionsOf",
    "CorruptionCurve",
    "CurvePoint",
    "Flip",
    "FlipSet",
    "LiveRun",
    "Percentiles",
    "ReportInput",
    "ReportRow",
    "RobustnessOf",
    "SourceFile",
    "Span",
]

MEASURED_HERE = "measured here"
"""On the machine that wrote the report; elsewhere it is "measured on NAME"."""
BUILT_ONLY = "built only, never run"
SCORED_ONLY = "scored, latency not measured"

UNSTABLE = "unstable"
"""Stands in the note of a row whose latency may not be repeatable."""

Span = tuple[float | None, float | None]
"""The two ends of an interval; None is an end that the samples could not bound."""


@dataclass(frozen=True)
class Percentiles:
    """Percentiles of one quantity, in milliseconds; None where there were no samples."""

    p50: float | None
    p95: float | None
    p99: float | None


@dataclass(frozen=True)
class ReportRow:
    """One engine: what is known about it, and None for what was not measured.

    Accuracies are fractions of 1, `drop_points` percentage points lost against fp32 on the same
    images (negative: gained). Rows with the same non-empty `latency_run` were measured interleaved
    in one run: only between these may a ratio of latencies be stated.
    """

    target: str
    precision: str
    engine: str
    top1: float | None = None
    top1_interval: Span | None = None
    drop_points: float | None = None
    drop_interval: Span | None = None
    p50_ms: float | None = None
    p95_ms: float | None = None
    p99_ms: float | None = None
    latency_samples: tuple[float, ...] = ()
    """In the order they were taken, or empty when only the percentiles are known."""
    bytes: int | None = None
    status: str = BUILT_ONLY
    note: str = ""
    model: str = ""
    images: int = 0
    """How many images `top1` was counted on."""
    top5: float | None = None
    accuracy_of: str = ""
    """What was scored where it was not the engine itself, such as "the graph, in float"."""
    p50_interval: Span | None = None
    p99_interval: Span | None = None
    samples: int = 0
    latency_run: str = ""
    block: int = 0
    """How many of `latency_samples` were taken in a row, one block per round; 0 if unknown."""
    uncalibrated: bool = False
    built_with: str = ""
    built_on: str = ""
    made_for: str = ""
    """The instruction set or the SMs the engine was built for."""
    mj: float | None = None
    """Millijoules of one inference above idle."""
    mj_interval: Span | None = None
    energy_of: str = ""
    """Which part of the machine, and what was read."""
    slowest_layers: tuple[KernelTime, ...] = ()
    """The ten that take longest; empty where kernels were not timed."""

    @property
    def has_latency(self) -> bool:
        """Return whether the engine has run and was timed."""
        return self.p50_ms is not None

    @property
    def timed(self) -> int:
        """Return how many inferences were timed."""
        return self.samples or len(self.latency_samples)


@dataclass(frozen=True)
class LiveRun:
    """One run of the live loop."""

    engine: str
    camera: str
    policy: str
    frames: int
    dropped: int
    fps: float | None
    capture_to_result_ms: Percentiles
    stages_ms: tuple[tuple[str, Percentiles], ...]
    frame_age_ms: Percentiles | None = None
    timestamp_origin: str = ""
    samples: int = 0
    """How many frames the percentiles are of; 0: all."""

    @property
    def timed(self) -> int:
        """Return how many frames the percentiles are of."""
        return self.samples or self.frames

    @property
    def age_is_weak(self) -> bool:
        """Return whether ages start when the frame was read, later than it was captured."""
        return self.timestamp_origin == "read"


@dataclass(frozen=True)
class CalibrationUsed:
    """Where the INT8 ranges came from."""

    name: str
    method: str
    samples: int
    seed: int
    images_digest: str
    """One digest over the digests of all calibration images."""
    scheme: str = ""
    effort: str = ""
    table_digest: str = ""
    uncalibrated: bool = False
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Flip:
    """One image that the two engines answer differently. `thumbnail` is JPEG, empty if unknown."""

    image: str
    truth: str
    before: str
    after: str
    lost: bool
    gained: bool
    thumbnail: bytes = b""


@dataclass(frozen=True)
class FlipSet:
    """The flips of one comparison; `flips` may be fewer than `total`."""

    before: str
    after: str
    images: int
    total: int
    lost: int
    gained: int
    flips: tuple[Flip, ...] = ()
    mcnemar_p: float | None = None
    agreement: float | None = None


@dataclass(frozen=True)
class ConditionsOf:
    """The machine while `names` (engines or live runs) were measured, as words."""

    names: tuple[str, ...]
    values: tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class ClassesOf:
    """How the answers of one engine are spread over classes, and how sure it is of them."""

    engine: str
    precision: str
    images: int
    confidence_error: float
    """Expected calibration error, a fraction of 1."""
    confidence_error_interval: Span
    confidence_error_by_chance: float
    weakest: tuple[tuple[str, int, int], ...]
    """Class, images of it, how many of these are right: the lowest shares first."""
    confusions: tuple[tuple[str, str, int], ...]
    """Class, what it is called instead, how many images: the most frequent first."""


@dataclass(frozen=True)
class CurvePoint:
    """Two models at one severity, 0 being clean: before and after, in this order.

    Accuracies are fractions of 1; the gap is before less after, in percentage points, paired.
    """

    severity: int
    top1: tuple[float, float]
    top1_intervals: tuple[Span, Span]
    gap: float
    gap_interval: Span


@dataclass(frozen=True)
class CorruptionCurve:
    """One corruption; `gap` is the mean over its severities, in percentage points."""

    corruption: str
    points: tuple[CurvePoint, ...]
    gap: float
    gap_interval: Span


@dataclass(frozen=True)
class RobustnessOf:
    """Two models on corrupted pictures; `added` is how far the gap exceeds that on clean ones."""

    names: tuple[str, str]
    precisions: tuple[str, str]
    images: int
    picture: tuple[int, int]
    """Height and width of what was corrupted, in pixels."""
    curves: tuple[CorruptionCurve, ...]
    gap: float
    gap_interval: Span
    added: float
    added_interval: Span


@dataclass(frozen=True)
class SourceFile:
    """A file that the report was made from."""

    path: str
    digest: str


@dataclass(frozen=True)
class ReportInput:
    """Everything that stands in one report."""

    title: str
    rows: tuple[ReportRow, ...]
    live: tuple[LiveRun, ...] = ()
    classes: tuple[ClassesOf, ...] = ()
    conditions: tuple[ConditionsOf, ...] = ()
    calibrations: tuple[CalibrationUsed, ...] = ()
    flips: tuple[FlipSet, ...] = ()
    robustness: tuple[RobustnessOf, ...] = ()
    commands: tuple[str, ...] = ()
    made_on: str = ""
    """The machine that the latencies were measured on."""
    day: str = ""
    images: str = ""
    """What the accuracies were counted on, such as "653 images in imagenet/val"."""
    notes: tuple[str, ...] = ()
    sources: tuple[SourceFile, ...] = ()
