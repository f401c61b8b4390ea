"""Accuracy against a cost: the engines worth choosing, and those that another one beats."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from toolkit.report.drawing import Box, dot, drawing, label, line, path, text_width
from toolkit.report.markup import Markup, fragment
from toolkit.report.model import ReportRow, Span
from toolkit.report.scale import Scale, scale_over

__all__ = ["COSTS", "Cost", "dominated", "pareto_plot", "plottable"]


@dataclass(frozen=True)
class Cost:
    """What an engine costs: the horizontal axis."""

    key: str
    title: str
    axis: str
    value: Callable[[ReportRow], float | None]
    interval: Callable[[ReportRow], Span | None]


COSTS = {
    "p50": Cost(
        "p50", "p50", "latency p50, ms", lambda row: row.p50_ms, lambda row: row.p50_interval
    ),
    "p99": Cost(
        "p99", "p99", "latency p99, ms", lambda row: row.p99_ms, lambda row: row.p99_interval
    ),
    "size": Cost(
        "size",
        "file size",
        "file size, MiB",
        lambda row: row.bytes / 2**20 if row.bytes is not None and row.has_latency else None,
        lambda row: None,
    ),
    "energy": Cost(
        "energy", "energy", "energy above idle, mJ", lambda r: r.mj, lambda r: r.mj_interval
    ),
}


def plottable(rows: Sequence[ReportRow], cost: Cost) -> list[ReportRow]:
    """Return the rows with both an accuracy and a cost."""
    return [row for row in rows if row.top1 is not None and cost.value(row) is not None]


def dominated(rows: Sequence[ReportRow], cost: Cost) -> frozenset[str]:
    """Return the engines that another one of the same target beats: as accurate and cheaper.

    Point estimates decide: the error bars say how sure that is. Equal points beat nobody.
    """
    shown = [(row, *_point(row, cost)) for row in plottable(rows, cost)]
    return frozenset(
        row.engine
        for row, x, y in shown
        if any(
            other.target == row.target and ox <= x and oy >= y and (ox < x or oy > y)
            for other, ox, oy in shown
        )
    )


def pareto_plot(
    rows: Sequence[ReportRow],
    names: Mapping[str, str],
    cost: Cost,
    *,
    width: float,
    height: float,
) -> Markup:
    """Return the plot of all rows that have an accuracy and this cost."""
    shown = plottable(rows, cost)
    behind = dominated(rows, cost)
    frame = (44.0, 14.0, width - 14.0, height - 44.0)
    across, up = _scales(shown, cost, frame)
    marks: list[Markup] = []
    taken: list[Box] = []
    for row in shown:
        mark, boxes = _mark(row, cost, across, up, beaten=row.engine in behind)
        marks.append(mark)
        taken.extend(boxes)
    texts = []
    for row in sorted(shown, key=lambda row: row.engine in behind):
        x, y = across.at(_point(row, cost)[0]), up.at(_point(row, cost)[1])
        text = names.get(row.engine, row.engine)
        at_x, at_y, anchor, box = _free_place(x, y, text, taken, frame)
        taken.append(box)
        class_ = "name beaten" if row.engine in behind else "name"
        texts.append(label(at_x, at_y, text, class_, anchor=anchor))
    return drawing(
        width,
        height,
        _axes(across, up, cost, frame),
        *_fronts(shown, behind, cost, across, up, frame),
        *marks,
        *texts,
        title=f"Top-1 accuracy against {cost.axis.partition(',')[0]} of {len(shown)} engines",
    )


def _point(row: ReportRow, cost: Cost) -> tuple[float, float]:
    return float(cost.value(row) or 0.0), 100.0 * float(row.top1 or 0.0)


def _scales(shown: Sequence[ReportRow], cost: Cost, frame: Box) -> tuple[Scale, Scale]:
    left, top, right, bottom = frame
    xs, ys = [], []
    for row in shown:
        x, y = _point(row, cost)
        xs.extend([x, *_ends(cost.interval(row))])
        ys.extend([y, *(100.0 * end for end in _ends(row.top1_interval))])
    across = scale_over(xs, left, right, padding=0.1, smallest=0.02 * max(xs))
    up = scale_over(ys, bottom, top, padding=0.1, smallest=1.0)
    return across, up


def _ends(interval: Span | None) -> list[float]:
    return [end for end in interval or () if end is not None]


def _axes(across: Scale, up: Scale, cost: Cost, frame: Box) -> Markup:
    left, top, right, bottom = frame
    grid = [line(left, up.at(y), right, up.at(y), "grid") for y in up.ticks(5)]
    sides = [label(left - 8, up.at(y) + 4, f"{y:g}", "tick", anchor="end") for y in up.ticks(5)]
    wanted = 7 if right - left > 480 else 4
    below = []
    for x in across.ticks(wanted):
        below.append(line(across.at(x), bottom, across.at(x), bottom + 4, "axis"))
        below.append(label(across.at(x), bottom + 17, f"{x:g}", "tick", anchor="middle"))
    note = f"{cost.axis} (ratio scale)" if across.logarithmic else cost.axis
    return fragment(
        *grid,
        *sides,
        line(left, bottom, right, bottom, "axis"),
        *below,
        label(right, bottom + 36, note, "caption", anchor="end"),
        label(left, top - 3, "top-1, %", "caption"),
    )


def _fronts(
    shown: Sequence[ReportRow],
    behind: frozenset[str],
    cost: Cost,
    across: Scale,
    up: Scale,
    frame: Box,
) -> list[Markup]:
    """Draw the best accuracy at each cost, a staircase per target."""
    stairs = []
    for target in dict.fromkeys(row.target for row in shown):
        best = [row for row in shown if row.target == target and row.engine not in behind]
        corners: list[tuple[float, float]] = []
        for x, y in sorted(
            (across.at(px), up.at(py)) for px, py in (_point(r, cost) for r in best)
        ):
            if corners:
                corners.append((x, corners[-1][1]))
            corners.append((x, y))
        if corners:
            corners.append((frame[2], corners[-1][1]))
            stairs.append(path(corners, "front"))
    return stairs


def _mark(
    row: ReportRow, cost: Cost, across: Scale, up: Scale, *, beaten: bool
) -> tuple[Markup, list[Box]]:
    px, py = _point(row, cost)
    x, y = across.at(px), up.at(py)
    state = "beaten" if beaten else ""
    bars, boxes = [], [(x - 7, y - 7, x + 7, y + 7)]
    low, high = row.top1_interval or (None, None)
    if low is not None and high is not None:
        y1, y2 = up.at(100.0 * low), up.at(100.0 * high)
        bars.append(_bar(((x, y1), (x, y2)), row.precision, state))
        boxes.append((x - 3, min(y1, y2), x + 3, max(y1, y2)))
    low, high = cost.interval(row) or (None, None)
    if low is not None and high is not None:
        x1, x2 = across.at(low), across.at(high)
        bars.append(_bar(((x1, y), (x2, y)), row.precision, state))
        boxes.append((x1, y - 3, x2, y + 3))
    return fragment(*bars, dot(x, y, row.precision, state)), boxes


def _bar(ends: tuple[tuple[float, float], ...], precision: str, state: str) -> Markup:
    (x1, y1), (x2, y2) = ends
    return line(x1, y1, x2, y2, f"error {precision} {state}".rstrip())


def _free_place(
    x: float, y: float, text: str, taken: Sequence[Box], frame: Box
) -> tuple[float, float, str, Box]:
    """Return where `text` can stand beside the point, covering as little as possible."""
    wide = text_width(text)
    places: list[tuple[float, float, float, str, Box]] = []
    for dx, dy, anchor in (
        (10, -9, "start"),
        (-10, -9, "end"),
        (10, 18, "start"),
        (-10, 18, "end"),
        (12, 4, "start"),
        (-12, 4, "end"),
        (10, -25, "start"),
        (10, 34, "start"),
        (-10, -25, "end"),
        (-10, 34, "end"),
    ):
        left = x + dx - (wide if anchor == "end" else 0.0)
        box = (left, y + dy - 11, left + wide, y + dy + 4)
        outside = max(0.0, frame[0] - box[0], box[2] - frame[2] - 14, frame[1] - 8 - box[1])
        outside += max(0.0, box[3] - frame[3])
        covered = sum(_overlap(box, other) for other in taken)
        places.append((covered + 40.0 * outside + len(places), x + dx, y + dy, anchor, box))
    _, at_x, at_y, anchor, box = min(places)
    return at_x, at_y, anchor, box


def _overlap(a: Box, b: Box) -> float:
    across = min(a[2], b[2]) - max(a[0], b[0])
    down = min(a[3], b[3]) - max(a[1], b[1])
    return across * down if across > 0 and down > 0 else 0.0
