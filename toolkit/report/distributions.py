"""Latency distributions: one strip per engine, all on one axis."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from toolkit.report.drawing import drawing, label, line, path
from toolkit.report.markup import Markup, element
from toolkit.report.model import ReportRow
from toolkit.report.scale import Scale, scale_over
from toolkit.report.words import milliseconds, plural, tail
from toolkit.statistics import percentile

__all__ = ["distribution_plot"]

_STRIP = 62.0
_RISE = 28.0
_BINS = 160
_FEW = 60
"""Up to so many samples are drawn one by one; a density of fewer would invent a shape."""
_DOTS = 100
"""At most so many stragglers are drawn as dots; the header counts all that are off the paper."""


def distribution_plot(
    rows: Sequence[ReportRow], names: Mapping[str, str], *, width: float
) -> Markup:
    """Return a density of the raw samples of each row, with p50, p95 and p99 marked."""
    shown = [row for row in rows if row.latency_samples]
    height = _STRIP * len(shown) + 40.0
    across = _axis(shown, width)
    bottom = height - 36.0
    ticks = across.ticks(8 if width > 480 else 4)
    return drawing(
        width,
        height,
        *(line(across.at(x), 0, across.at(x), bottom, "grid") for x in ticks),
        *(
            _strip(row, _header(row, names, across, width), across, _STRIP * k)
            for k, row in enumerate(shown)
        ),
        line(across.start, bottom, across.end, bottom, "axis"),
        *(label(across.at(x), bottom + 15, f"{x:g}", "tick", anchor="middle") for x in ticks),
        label(across.end, bottom + 32, _caption(across), "caption", anchor="end"),
        title=f"Latency distributions of {plural(len(shown), 'engine')}",
    )


def _caption(across: Scale) -> str:
    return "latency, ms (ratio scale)" if across.logarithmic else "latency, ms"


def _axis(shown: Sequence[ReportRow], width: float) -> Scale:
    """Return an axis up to the slowest p99: what lies beyond is counted, not drawn."""
    ends = [min(row.latency_samples) for row in shown]
    ends += [percentile(row.latency_samples, 99) for row in shown]
    ends += [row.p99_ms for row in shown if row.p99_ms is not None]
    return scale_over(ends, 6.0, width - 6.0, padding=0.05, smallest=0.02 * max(ends))


def _header(
    row: ReportRow, names: Mapping[str, str], across: Scale, width: float
) -> tuple[tuple[str, str], ...]:
    off_paper = [value for value in row.latency_samples if value > across.high]
    texts = [(names.get(row.engine, row.engine), "name")]
    if width > 480:
        texts.append((_figures(row), "quiet"))
    texts.append((plural(len(row.latency_samples), "sample"), "quiet"))
    if off_paper:
        texts.append((f"{len(off_paper)} up to {milliseconds(max(off_paper))} ms →", "quiet"))
    return tuple(texts)


def _figures(row: ReportRow) -> str:
    return " · ".join(
        f"p{q} {tail(value, q, samples=row.timed)}"
        for q, value in ((50, row.p50_ms), (95, row.p95_ms), (99, row.p99_ms))
    )


def _strip(row: ReportRow, header: Sequence[tuple[str, str]], across: Scale, top: float) -> Markup:
    base = top + _STRIP - 8.0
    marks = []
    for q, value in ((50, row.p50_ms), (95, row.p95_ms), (99, row.p99_ms)):
        if value is not None:
            x = across.at(value)
            marks.append(
                line(x, base - (_RISE if q == 50 else 11.0), x, base + 3, f"quantile p{q}")
            )
    texts = [
        element("tspan", text, dx=8 if k else None, class_=class_)
        for k, (text, class_) in enumerate(header)
    ]
    return element(
        "g",
        element("title", f"{row.engine}: {_figures(row)} ms"),
        element("text", *texts, x=across.start, y=top + 15),
        _shape(row, across, base),
        *marks,
        class_=f"strip {row.precision}",
    )


def _shape(row: ReportRow, across: Scale, base: float) -> Markup:
    drawn = [value for value in row.latency_samples if value <= across.high]
    if len(row.latency_samples) <= _FEW:
        strokes = (line(across.at(v), base - 10, across.at(v), base, "single") for v in drawn)
        return element("g", *strokes)
    limit = percentile(row.latency_samples, 99)
    bulk = [value for value in drawn if value <= limit]
    stragglers = sorted(value for value in drawn if value > limit)[-_DOTS:]
    return element(
        "g",
        _hill(bulk, across, base),
        *(
            element("circle", cx=across.at(v), cy=base - 2, r=1.5, class_="single")
            for v in stragglers
        ),
    )


def _hill(values: Sequence[float], across: Scale, base: float) -> Markup:
    density = _density([across.at(value) for value in values], across.start, across.end)
    tallest = max(density)
    step = (across.end - across.start) / (_BINS - 1)
    curve = [
        (across.start + k * step, base - _RISE * value / tallest) for k, value in enumerate(density)
    ]
    used = [k for k, value in enumerate(density) if value > 0.004 * tallest]
    curve = curve[max(0, used[0] - 1) : used[-1] + 2]
    return path([(curve[0][0], base), *curve, (curve[-1][0], base)], "density", closed=True)


def _density(places: Sequence[float], start: float, end: float) -> list[float]:
    """Return a histogram smoothed by a Gaussian of Silverman's width (0.9 min(s, IQR/1.34) n^-1/5).

    Works in coordinates of the paper, so that one width serves linear and ratio axes.
    """
    step = (end - start) / (_BINS - 1)
    counts = [0.0] * _BINS
    for place in places:
        counts[min(_BINS - 1, max(0, round((place - start) / step)))] += 1.0
    ordered = sorted(places)
    n = len(ordered)
    mean = sum(ordered) / n
    spread = math.sqrt(sum((place - mean) ** 2 for place in ordered) / n)
    quartiles = (ordered[(3 * n) // 4] - ordered[n // 4]) / 1.34
    width = max(0.9 * min(spread, quartiles or spread) * n**-0.2 / step, 0.8)
    reach = math.ceil(3.0 * width)
    kernel = [math.exp(-0.5 * (k / width) ** 2) for k in range(-reach, reach + 1)]
    return [
        sum(
            weight * counts[k + offset - reach]
            for offset, weight in enumerate(kernel)
            if 0 <= k + offset - reach < _BINS
        )
        for k in range(_BINS)
    ]
