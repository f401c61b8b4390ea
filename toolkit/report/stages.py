"""Where the time of a live run goes: one bar per stage."""

from __future__ import annotations

from toolkit.report.drawing import drawing, label, line, rectangle
from toolkit.report.markup import Markup, element
from toolkit.report.model import LiveRun, Percentiles
from toolkit.report.scale import Scale, scale_over
from toolkit.report.words import tail

__all__ = ["stage_plot"]

_BAR = 40.0


def stage_plot(run: LiveRun, *, width: float) -> Markup:
    """Return p50, p95 and p99 of every stage, and of capture-to-result below them.

    Stages stand in rows, not end to end: percentiles of parts do not add up to those of the whole.
    """
    rows = [(name, times, "stage") for name, times in run.stages_ms]
    rows.append((_doubted("capture to result", run), run.capture_to_result_ms, "whole"))
    if run.frame_age_ms is not None:
        rows.append((_doubted("frame age at inference", run), run.frame_age_ms, "age"))
    longest = [times.p99 or times.p50 or 0.0 for _, times, _ in rows]
    across = scale_over(longest, 0.0, width - 8.0, from_zero=True, smallest=1e-3)
    height = _BAR * len(rows) + 36.0
    bottom = height - 32.0
    ticks = across.ticks(8 if width > 480 else 4)
    return drawing(
        width,
        height,
        *(line(across.at(x), 0, across.at(x), bottom, "grid") for x in ticks[1:]),
        *(
            _bar(name, times, kind, across, _BAR * k, run.timed)
            for k, (name, times, kind) in enumerate(rows)
        ),
        line(0, bottom, width, bottom, "axis"),
        *(
            label(across.at(x), bottom + 15, f"{x:g}", "tick", anchor="middle" if x else "start")
            for x in ticks
        ),
        label(width - 8, bottom + 30, "ms", "caption", anchor="end"),
        title=f"Stages of the live run of {run.engine}",
    )


def _doubted(name: str, run: LiveRun) -> str:
    """Return the name with `?` where time starts only when the frame was read."""
    return f"{name}?" if run.age_is_weak else name


def _bar(
    name: str, times: Percentiles, kind: str, across: Scale, top: float, samples: int
) -> Markup:
    known = ((50, times.p50), (95, times.p95), (99, times.p99))
    figures = " · ".join(tail(value, q, samples=samples) for q, value in known)
    base = top + 20.0
    shapes = []
    if times.p95 is not None:
        shapes.append(rectangle(0.0, base, across.at(times.p95), 9.0, "to-p95"))
    if times.p50 is not None:
        shapes.append(rectangle(0.0, base, across.at(times.p50), 9.0, "to-p50"))
    if times.p99 is not None:
        x = across.at(times.p99)
        shapes.append(line(x, base - 2, x, base + 11, "to-p99"))
    text = element(
        "text",
        element("tspan", name, class_="name"),
        element("tspan", figures, dx=8, class_="quiet"),
        x=0.0,
        y=top + 15,
    )
    return element("g", text, *shapes, class_=kind)
