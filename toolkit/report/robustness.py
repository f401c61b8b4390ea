"""The section about corrupted pictures: a curve per model and corruption, and the gap between."""

from __future__ import annotations

from pathlib import Path

from toolkit.report.drawing import dot, drawing, label, line, path
from toolkit.report.markup import Markup, element, fragment
from toolkit.report.model import CorruptionCurve, CurvePoint, ReportInput, RobustnessOf, Span
from toolkit.report.rows import precision_in_name
from toolkit.report.run_files import RunFiles
from toolkit.report.scale import Scale, scale_over
from toolkit.report.sections import Section
from toolkit.report.words import drop, percent, plural, span
from toolkit.robustness import CorruptedScore, Estimate, Robustness
from toolkit.statistics import Interval

__all__ = ["corruption_gap_rows", "robustness", "robustness_from_runs"]

_WIDTH, _HEIGHT = 236.0, 176.0
_FRAME = (34.0, 26.0, _WIDTH - 8.0, _HEIGHT - 30.0)


def robustness_from_runs(found: RunFiles) -> tuple[RobustnessOf, ...]:
    """Return the curves of every comparison that was made under corruptions."""
    known = {each.manifest.engine_digest: each.manifest.precision for each in found.engines}
    known |= {run.digest: run.precision for run in found.latencies}
    known |= {accuracy.digest: accuracy.precision for accuracy in found.accuracies}
    made = []
    for paired in found.comparisons:
        if paired.robustness is None:
            continue
        before, after = (
            known.get(digest) or precision_in_name(name)
            for digest, name in (
                (paired.before_digest, paired.before),
                (paired.after_digest, paired.after),
            )
        )
        made.append(
            _robustness_of(
                paired.robustness,
                names=(Path(paired.before).name, Path(paired.after).name),
                precisions=("fp32" if before == "unknown" else before, after),
            )
        )
    return tuple(made)


def _robustness_of(
    found: Robustness, *, names: tuple[str, str], precisions: tuple[str, str]
) -> RobustnessOf:
    clean = _point(found.clean)
    curves = []
    for corruption in found.corruptions:
        points = (clean, *map(_point, found.of(corruption)))
        gap = found.mean_gap(corruption)
        curves.append(CorruptionCurve(corruption, points, gap.points, _span(gap.interval)))
    gap, added = found.mean_gap(), found.added_gap()
    return RobustnessOf(
        names=names,
        precisions=precisions,
        images=len(found.clean.right_a),
        picture=(found.height, found.width),
        curves=tuple(curves),
        gap=gap.points,
        gap_interval=_span(gap.interval),
        added=added.points,
        added_interval=_span(added.interval),
    )


def _point(score: CorruptedScore) -> CurvePoint:
    gap: Estimate = score.gap
    before, after = score.top1_intervals
    return CurvePoint(
        score.severity,
        score.top1,
        (_span(before), _span(after)),
        gap.points,
        _span(gap.interval),
    )


def _span(interval: Interval) -> Span:
    low, high = interval.to_list()
    return low, high


def robustness(report: ReportInput) -> Section | None:
    """Return the curves over severity, and a table of the gaps."""
    if not report.robustness:
        return None
    aside = (
        "Top-1 over severity, 0 is clean; corruptions after Hendrycks and Dietterich (2019), made "
        "on the resized and cropped picture. Bars are 95 % intervals of each curve by itself; the "
        "gaps in the table are paired and say more. Blurs are counted in pixels and so are "
        "harsher for small pictures."
    )
    body = fragment(*(_one(each) for each in report.robustness))
    return Section("robustness", "Corrupted pictures", aside, body)


def _one(one: RobustnessOf) -> Markup:
    names = [
        element(
            "span",
            element("svg", dot(8, 8, precision), viewBox="0 0 16 16", class_="key"),
            name,
        )
        for name, precision in zip(one.names, one.precisions, strict=True)
    ]
    up = _up(one)
    panels = (element("div", _panel(curve, one, up)) for curve in one.curves)
    head = ("Corruption", "Top-1 at 5, %", "Gap at 5, points", "Mean gap, points")
    rows = corruption_gap_rows(one)
    table = element(
        "table",
        element("thead", element("tr", *(element("th", text, scope="col") for text in head))),
        element(
            "tbody",
            *(
                element(
                    "tr",
                    *(
                        element("td", cell, data_label=text)
                        for cell, text in zip(row, head, strict=True)
                    ),
                )
                for row in rows
            ),
        ),
        class_="plain",
    )
    return element(
        "div",
        element("p", *names, class_="legend"),
        element("div", *panels, class_="panels"),
        element("p", _sentence(one), class_="remark"),
        table,
    )


def _sentence(one: RobustnessOf) -> str:
    height, width = one.picture
    return (
        f"{plural(one.images, 'image')} of {width} x {height} pixels. Over all corruptions "
        f"{one.names[1]} loses {drop(one.gap)} points against {one.names[0]} "
        f"({span(one.gap_interval, digits=2)}), which is {drop(one.added)} more than on clean "
        f"pictures ({span(one.added_interval, digits=2)})."
    )


def corruption_gap_rows(one: RobustnessOf) -> list[tuple[str, str, str, str]]:
    """Return a row per corruption: its name, both accuracies at severity 5, gap there and mean."""
    rows = []
    for curve in one.curves:
        last = curve.points[-1]
        before, after = (percent(top1, images=one.images) for top1 in last.top1)
        at_five = f"{drop(last.gap)} ({span(last.gap_interval, digits=2)})"
        mean = f"{drop(curve.gap)} ({span(curve.gap_interval, digits=2)})"
        rows.append((_words(curve.corruption), f"{before} → {after}", at_five, mean))
    return rows


def _words(name: str) -> str:
    return name.replace("_", " ")


def _up(one: RobustnessOf) -> Scale:
    """Return one scale for all panels, so that they can be compared by eye."""
    ends = [
        100.0 * end
        for curve in one.curves
        for point in curve.points
        for interval in point.top1_intervals
        for end in interval
        if end is not None
    ]
    return scale_over(ends, _FRAME[3], _FRAME[1], from_zero=True)


def _panel(curve: CorruptionCurve, one: RobustnessOf, up: Scale) -> Markup:
    left, top, right, bottom = _FRAME
    severities = [point.severity for point in curve.points]
    across = Scale(-0.3, max(severities) + 0.3, left, right)
    grid = [line(left, up.at(y), right, up.at(y), "grid") for y in up.ticks(4)]
    sides = [label(left - 6, up.at(y) + 4, f"{y:g}", "tick", anchor="end") for y in up.ticks(4)]
    below = [
        label(across.at(at), bottom + 17, str(at), "tick", anchor="middle") for at in severities
    ]
    return drawing(
        _WIDTH,
        _HEIGHT,
        label(left, top - 10, _words(curve.corruption), "name"),
        *grid,
        *sides,
        line(left, bottom, right, bottom, "axis"),
        *below,
        *(_curve(curve, which, precision, across, up) for which, precision in _both(one)),
        title=f"Top-1 of two models under {_words(curve.corruption)}, severity 0 to 5",
    )


def _both(one: RobustnessOf) -> tuple[tuple[int, str], tuple[int, str]]:
    return (0, one.precisions[0]), (1, one.precisions[1])


def _curve(curve: CorruptionCurve, which: int, precision: str, across: Scale, up: Scale) -> Markup:
    beside = -2.5 if which == 0 else 2.5  # the bars of the two would hide each other
    marks: list[Markup] = []
    corners = []
    for point in curve.points:
        x, y = across.at(point.severity) + beside, up.at(100.0 * point.top1[which])
        low, high = point.top1_intervals[which]
        if low is not None and high is not None:
            ends = up.at(100.0 * low), up.at(100.0 * high)
            marks.append(line(x, ends[0], x, ends[1], f"error {precision}"))
        corners.append((x, y))
        marks.append(dot(x, y, precision))
    return fragment(path(corners, f"curve {precision}"), *marks)
