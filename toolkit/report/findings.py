"""What the figures allow one to say, in sentences: the first thing a reader sees."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from toolkit.report.model import UNSTABLE, ReportInput, ReportRow
from toolkit.report.words import (
    by_target,
    drop,
    file_size,
    milliseconds,
    plural,
    short_names,
    span,
)
from toolkit.statistics import MARGIN, ratio_of_medians

__all__ = ["Finding", "findings"]


@dataclass(frozen=True)
class Finding:
    """What it is about, and what is said about it."""

    subject: str
    text: str
    alarm: bool = False


def findings(report: ReportInput) -> tuple[Finding, ...]:
    """Return one finding per model and measured target, then what has never run.

    A ratio of latencies is stated only between engines of one interleaved run, and against the
    fastest float engine, which may be fp16. Of several INT8 engines the fastest is taken that the
    images cannot tell from fp32; if they can tell all, the fastest.
    """
    said = []
    waiting: dict[str, int] = {}
    for (model, target), rows in by_target(report.rows):
        subject = f"{model} on {target}" if model else target
        if any(row.has_latency for row in rows):
            said.append(Finding(subject, _about(rows)))
        else:
            waiting[target] = waiting.get(target, 0) + len(rows)
    if waiting:
        text = f"{plural(sum(waiting.values()), 'engine')} built, never run: no latency is claimed."
        said.append(Finding(_listed(list(waiting)), text))
    if any(row.uncalibrated for row in report.rows):
        text = (
            "At least one INT8 engine was calibrated on random data: its accuracy says nothing "
            "about INT8."
        )
        said.append(Finding("UNCALIBRATED", text, alarm=True))
    return tuple(said)


def _about(rows: Sequence[ReportRow]) -> str:
    timed = sorted((row for row in rows if row.p50_ms), key=lambda row: row.p50_ms or 0.0)
    floats = [row for row in timed if row.precision != "int8"]
    int8 = [row for row in timed if row.precision == "int8"]
    names = _names(int8)
    if not int8:
        return f"{_alone(timed[0], timed[0].precision)}." if timed else "No latency is known."
    chosen = next((row for row in int8 if not _shows_loss(row)), int8[0])
    name = names[chosen.engine]
    rivals = [r for r in floats if r.latency_run and r.latency_run == chosen.latency_run]
    if not rivals:
        unlike = "; no float engine was timed beside it" if floats else ""
        return f"{_alone(chosen, name)}{unlike}. {_accuracy(chosen)}"
    said = f"{_speed(chosen, name, rivals[0])}{_size(chosen, rivals[0])}. {_accuracy(chosen)}"
    shaky = any(row.note == UNSTABLE for row in (chosen, rivals[0]))
    return f"{said} The timing was unstable: see the remarks under the table." if shaky else said


def _names(int8: Sequence[ReportRow]) -> Mapping[str, str]:
    """Return `int8` where there is one, and its file's short name where there are more."""
    if len(int8) < 2:
        return {row.engine: row.precision for row in int8}
    return short_names(int8)


def _shows_loss(row: ReportRow) -> bool:
    low = (row.drop_interval or (None, None))[0]
    return low is not None and low > 0.0


def _alone(row: ReportRow, name: str) -> str:
    return f"{name} answers in {milliseconds(row.p50_ms)} ms (p50)"


@dataclass(frozen=True)
class _SpeedUp:
    """How many times as fast, and the ends of what that can be; `paired`: round by round."""

    ratio: float
    low: float
    high: float
    paired: bool


def _speed(quick: ReportRow, name: str, rival: ReportRow) -> str:
    than = f"{rival.precision} ({milliseconds(rival.p50_ms)} ms)"
    found = _speed_up(quick, rival)
    if found.low <= 1.0 + MARGIN and found.high >= 1.0 / (1.0 + MARGIN):
        return f"{_alone(quick, name)}, which these samples cannot tell from {than}"
    if found.ratio < 1.0:
        return f"{_alone(quick, name)}, slower than {than}"
    ends = f" ({found.low:.2f} to {found.high:.2f})" if found.paired else ""
    return f"{_alone(quick, name)}, {found.ratio:.2f}×{ends} as fast as {than}"


def _speed_up(quick: ReportRow, rival: ReportRow) -> _SpeedUp:
    """Compare round by round where the rounds are known: what disturbs both cancels.

    Otherwise compare the medians by their own intervals or, without these, by more than 5 %.
    """
    blocks = [
        np.asarray(row.latency_samples).reshape(-1, row.block)
        for row in (quick, rival)
        if row.block and row.latency_samples and len(row.latency_samples) % row.block == 0
    ]
    if len(blocks) == 2 and len(blocks[0]) == len(blocks[1]):
        found = ratio_of_medians(blocks[0], blocks[1])
        low, high = found.interval.low, found.interval.high
        return _SpeedUp(found.value, low, high, paired=math.isfinite(high))
    ratio = (rival.p50_ms or 0.0) / (quick.p50_ms or 1.0)
    mine, theirs = quick.p50_interval or (None, None), rival.p50_interval or (None, None)
    if None in (*mine, *theirs):
        return _SpeedUp(ratio, 0.95 * ratio, 1.05 * ratio, paired=False)
    low, high = (theirs[0] or 0.0) / (mine[1] or 1.0), (theirs[1] or 0.0) / (mine[0] or 1.0)
    return _SpeedUp(ratio, low, high, paired=False)


def _size(quick: ReportRow, rival: ReportRow) -> str:
    if not quick.bytes or not rival.bytes:
        return ""
    return f", in {file_size(quick.bytes)} instead of {file_size(rival.bytes)}"


def _accuracy(row: ReportRow) -> str:
    if row.drop_points is None:
        return "Its accuracy was not compared with fp32."
    low, high = row.drop_interval or (None, None)
    points = drop(abs(row.drop_points))
    change = f"{points} points {'below' if row.drop_points >= 0 else 'above'}"
    said = "Its top-1 equals that of fp32" if points == "0.00" else f"Its top-1 is {change} fp32"
    if low is None or high is None:
        return f"{said}; how sure that is was not computed."
    known = f"95 % interval of the drop {span((low, high), digits=2)}"
    known += f", {plural(row.images, 'image')}" if row.images else ""
    if low > 0.0:
        return f"{said} ({known}): a loss."
    if high < 0.0:
        return f"{said} ({known}): a gain."
    return f"{said} ({known}): no difference that these images can show."


def _listed(names: Sequence[str]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"
