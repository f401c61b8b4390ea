"""One recorded session, several engines: agreement, flips over time, the age of the answers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import pairwise
from typing import Any

from toolkit.errors import InputError
from toolkit.live.summary import LiveSummary
from toolkit.recording import Recording
from toolkit.results import Result
from toolkit.top_k import Guess

__all__ = ["EngineReplay", "Flip", "KeptAnswers", "PairedReplay", "ReplayComparison", "compared"]

_BUCKETS = 40
_BARS = "·▁▂▃▄▅▆▇█"


class KeptAnswers:
    """A sink that keeps the best guess of every frame."""

    lost = 0

    def __init__(self) -> None:
        self.by_frame: dict[int, Guess] = {}

    def put(self, result: Result) -> None:
        """Keep one answer."""
        self.by_frame[result.index] = result.top[0]


@dataclass(frozen=True)
class EngineReplay:
    """What one engine made of the session. `changes` counts answers unlike the one before."""

    engine: str
    summary: LiveSummary
    changes: int
    mean_confidence: float

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON values: the live summary and what a replay adds."""
        return {
            "engine": self.engine,
            **self.summary.to_dict(),
            "changes": self.changes,
            "mean_confidence": round(self.mean_confidence, 6),
        }


@dataclass(frozen=True)
class Flip:
    """A frame to which two engines answer differently; `at_s` counts from the first frame."""

    index: int
    at_s: float
    a: str
    b: str
    confidence_a: float
    confidence_b: float


@dataclass(frozen=True)
class PairedReplay:
    """Engine `b` against `a`, on the `n` frames that both answered."""

    a: str
    b: str
    n: int
    flips: tuple[Flip, ...]
    stretches: tuple[tuple[float, float, int], ...]
    """Flips on successive frames: begin and end in seconds, and how many."""

    @property
    def agreement(self) -> float | None:
        """Return the share of equal answers; None when no frame was answered by both."""
        return 1.0 - len(self.flips) / self.n if self.n else None

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON values."""
        return {
            "a": self.a,
            "b": self.b,
            "n": self.n,
            "agreement": self.agreement,
            "flips": [asdict(flip) for flip in self.flips],
            "stretches": [
                {"from_s": begin, "to_s": end, "frames": frames}
                for begin, end, frames in self.stretches
            ],
        }


@dataclass(frozen=True)
class ReplayComparison:
    """The engines in the order they were named; each is compared with the first."""

    camera: str
    frames: int
    seconds: float
    engines: tuple[EngineReplay, ...]
    pairs: tuple[PairedReplay, ...]

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON values."""
        return {
            "camera": self.camera,
            "frames": self.frames,
            "seconds": round(self.seconds, 3),
            "engines": [engine.to_dict() for engine in self.engines],
            "pairs": [pair.to_dict() for pair in self.pairs],
        }

    def lines(self) -> list[str]:
        """Return the comparison for a person."""
        shares = ", ".join(
            "none in common" if pair.agreement is None else f"{pair.agreement:.2%}"
            for pair in self.pairs
        )
        lines = [
            f"agreement with {self.engines[0].engine}: {shares}  "
            f"({self.frames} frames, {self.seconds:.1f} s: {self.camera})"
        ]
        for run in self.engines:
            summary = run.summary
            weak = summary.timestamp_origin == "read"
            lines += [
                f"{run.engine}: {summary.frames} answered, {summary.dropped} dropped, "
                f"{run.changes} changes of answer, mean confidence {run.mean_confidence:.3f}",
                f"  frame age          {summary.frame_age_ms.text(doubt=weak)}",
                f"  capture-to-result  {summary.capture_to_result_ms.text(doubt=weak)}",
            ]
        for pair in self.pairs:
            lines += self._pair_lines(pair)
        return lines

    def _pair_lines(self, pair: PairedReplay) -> list[str]:
        if pair.agreement is None:
            return [f"{pair.b} and {pair.a} answered no frame in common"]
        lines = [
            f"{pair.b} agrees with {pair.a} on {pair.agreement:.2%} of {pair.n} frames "
            f"that both answered; {len(pair.flips)} flips in {len(pair.stretches)} stretches"
        ]
        if pair.flips:
            lines.append(f"  over time  |{_bars(pair.flips, self.seconds)}|  {self.seconds:.1f} s")
            begin, end, frames = max(pair.stretches, key=lambda stretch: stretch[2])
            lines.append(f"  the longest: {frames} frames from {begin:.2f} s to {end:.2f} s")
        if pair.n < self.frames:
            lines.append("  --policy queue compares every frame, but its ages mean nothing")
        return lines


def compared(
    recording: Recording,
    runs: Sequence[tuple[str, LiveSummary, Mapping[int, Guess]]],
    *,
    camera: str,
) -> ReplayComparison:
    """Return the comparison of the runs: name, summary and best guess of each frame.

    Raises InputError when no two engines are named, or two have no class in common.
    """
    if len(runs) < 2:
        raise InputError(
            "A comparison needs two engines.",
            next_command="edgekit live A B --camera replay://DIR",
        )
    first_s = recording.frames[0].captured_at_s
    at_s = {frame.index: frame.captured_at_s - first_s for frame in recording.frames}
    reference, _, answers = runs[0]
    return ReplayComparison(
        camera,
        len(recording.frames),
        recording.seconds,
        tuple(
            EngineReplay(name, summary, _changes(given), _mean_confidence(given))
            for name, summary, given in runs
        ),
        tuple(_paired(reference, name, answers, given, at_s) for name, _, given in runs[1:]),
    )


def _paired(
    a: str, b: str, of_a: Mapping[int, Guess], of_b: Mapping[int, Guess], at_s: Mapping[int, float]
) -> PairedReplay:
    both = sorted(of_a.keys() & of_b.keys())
    flips = []
    stretches: list[tuple[float, float, int]] = []
    flipped_before = False
    for index in both:
        left, right = of_a[index], of_b[index]
        flipped = left.id != right.id
        if flipped:
            time_s = round(at_s[index], 6)
            flips.append(
                Flip(index, time_s, left.label, right.label, left.confidence, right.confidence)
            )
            begin, _, frames = stretches.pop() if flipped_before else (time_s, time_s, 0)
            stretches.append((begin, time_s, frames + 1))
        flipped_before = flipped
    return PairedReplay(a, b, len(both), tuple(flips), tuple(stretches))


def _changes(given: Mapping[int, Guess]) -> int:
    answers = [given[index].id for index in sorted(given)]
    return sum(before != after for before, after in pairwise(answers))


def _mean_confidence(given: Mapping[int, Guess]) -> float:
    return sum(guess.confidence for guess in given.values()) / len(given) if given else 0.0


def _bars(flips: Sequence[Flip], seconds: float) -> str:
    counts = [0] * _BUCKETS
    for flip in flips:
        place = int(flip.at_s / seconds * _BUCKETS) if seconds > 0 else 0
        counts[min(max(place, 0), _BUCKETS - 1)] += 1
    steps = len(_BARS) - 1
    return "".join(_BARS[-(-count * steps // max(counts))] for count in counts)
