"""Hold one piece of evidence against one limit: met, not met, or undecided and what decides."""

from __future__ import annotations

import math
from collections.abc import Sequence

from toolkit.energy import Energy
from toolkit.gate.verdict import MET, NOT_MET, UNDECIDED, Check
from toolkit.report.paired import Paired
from toolkit.report.words import plural
from toolkit.statistics import (
    Interval,
    images_to_decide,
    paired_drop_interval,
    percentile,
    quantile_interval,
    samples_to_decide,
    two_sided,
)

__all__ = ["check_drop", "check_energy", "check_p99", "check_size", "missing"]

_AT_THE_LIMIT = "no number of {what} that can be taken would decide: the truth lies at the limit"


def check_drop(paired: Paired, *, limit: float, confidence: float) -> Check:
    """Return whether top-1 fell by at most `limit` points from `paired.before` to `.after`."""
    a, b, n = paired.only_before, paired.only_after, paired.n
    interval = paired_drop_interval(a, b, n, confidence=two_sided(confidence)).times(100.0)
    verdict = _verdict(interval, limit)
    needed = ""
    if verdict == UNDECIDED:
        images = images_to_decide(a, b, n, limit=limit / 100.0, confidence=confidence)
        needed = _about(images, "image", "if the two go on to differ as they did on these")
    return Check(
        name="top-1 drop",
        limit=limit,
        unit="points",
        verdict=verdict,
        value=paired.drop_points,
        bound=_bound(interval, verdict),
        evidence=f"against {paired.before}, {plural(n, 'image')}, {a} lost and {b} gained",
        needed=needed,
    )


def check_p99(
    samples_ms: Sequence[float], *, limit: float, confidence: float, what: str, evidence: str
) -> Check:
    """Return whether the 99th percentile of `what` is at most `limit` milliseconds.

    `samples_ms` are in the order they were taken; order statistics bound the percentile.
    """
    level = two_sided(confidence)
    interval = quantile_interval(samples_ms, 99, confidence=level)
    verdict = _verdict(interval, limit)
    needed = ""
    if verdict == UNDECIDED:
        count = samples_to_decide(samples_ms, 99, limit=limit, confidence=confidence)
        needed = _about(count, "sample", "if as many go on to exceed it")
    return Check(
        name=f"p99 of {what}",
        limit=limit,
        unit="ms",
        verdict=verdict,
        value=percentile(samples_ms, 99),
        bound=_bound(interval, verdict),
        evidence=f"{evidence}, {plural(len(samples_ms), 'sample')}",
        needed=needed,
    )


def check_energy(energy: Energy, *, limit: float, confidence: float) -> Check:
    """Return whether one inference takes at most `limit` millijoules above idle."""
    interval = energy.interval(two_sided(confidence))
    verdict = _verdict(interval, limit)
    needed = "measure again on a quieter machine" if verdict == UNDECIDED else ""
    return Check(
        name="energy",
        limit=limit,
        unit="mJ",
        verdict=verdict,
        value=energy.mj,
        bound=_bound(interval, verdict),
        evidence=f"{energy.source}, {energy.covers}, {plural(len(energy.windows), 'window')}",
        needed=needed,
    )


def check_size(bytes_: int, *, limit: float, evidence: str) -> Check:
    """Return whether a file is at most `limit` MiB large: a size is known, not estimated."""
    size = bytes_ / (1 << 20)
    verdict = MET if size <= limit else NOT_MET
    return Check("file size", limit, "MiB", verdict, value=size, bound=size, evidence=evidence)


def missing(name: str, *, limit: float, unit: str, needed: str) -> Check:
    """Return the check of a limit that nothing was measured for: it can never pass."""
    return Check(name, limit, unit, UNDECIDED, needed=needed)


def _verdict(interval: Interval, limit: float) -> str:
    if interval.high <= limit:
        return MET
    return NOT_MET if interval.low > limit else UNDECIDED


def _bound(interval: Interval, verdict: str) -> float | None:
    end = interval.low if verdict == NOT_MET else interval.high
    return end if math.isfinite(end) else None


def _about(count: int | None, noun: str, proviso: str) -> str:
    if count is None:
        return _AT_THE_LIMIT.format(what=f"{noun}s")
    return f"about {plural(_rounded_up(count), noun)} would decide, {proviso}"


def _rounded_up(count: int) -> int:
    """Return two significant digits, upwards: it is an estimate."""
    step: int = 10 ** max(0, len(str(count)) - 2)
    return math.ceil(count / step) * step
