"""The table of engines: precision against accuracy, latency and size, with a forest plot inside."""

from __future__ import annotations

from collections.abc import Sequence

from toolkit.report.drawing import dot, drawing, line
from toolkit.report.markup import Markup, element, fragment
from toolkit.report.model import BUILT_ONLY, MEASURED_HERE, ReportRow
from toolkit.report.scale import Scale, scale_over
from toolkit.report.words import (
    NOTHING,
    by_target,
    drop,
    file_size,
    millijoules,
    milliseconds,
    percent,
    short_names,
    span,
    tail,
)

__all__ = ["engine_table", "status_mark"]

_COLUMNS = (
    ("Precision", "text"),
    ("Top-1, %", "number"),
    ("Drop against fp32, points", "drop"),
    ("p50, ms", "number"),
    ("p99, ms", "number"),
    ("File", "number"),
    ("Status", "text"),
)
_ENERGY = ("Energy, mJ", "number")
_FOREST = (88.0, 20.0)


def engine_table(rows: Sequence[ReportRow]) -> Markup:
    """Return the rows grouped by target, with the drop of each drawn to one scale."""
    scale = _drop_scale(rows)
    columns = list(_COLUMNS)
    if any(row.mj is not None for row in rows):
        columns.insert(-1, _ENERGY)
    bodies = [
        element(
            "tbody",
            _target_line(model, target, members, width=len(columns)),
            *_lines(members, scale, columns),
        )
        for (model, target), members in by_target(rows)
    ]
    head = element("tr", *(element("th", name, scope="col", class_=c) for name, c in columns))
    return element("table", element("thead", head), *bodies, class_="engines")


def status_mark(status: str) -> Markup:
    """Return the status with a filled mark for measured and a hollow one for the rest."""
    kind = "ran" if status == MEASURED_HERE else "waits" if status == BUILT_ONLY else "partly"
    return element("span", status, class_=f"status {kind}")


def _target_line(model: str, target: str, members: Sequence[ReportRow], *, width: int) -> Markup:
    made_for = " · ".join(dict.fromkeys(row.made_for for row in members if row.made_for))
    return element(
        "tr",
        element(
            "th",
            element("span", target, class_="target"),
            element("span", model, class_="quiet") if model else None,
            element("span", made_for, class_="quiet") if made_for else None,
            colspan=width,
            scope="rowgroup",
        ),
        class_="group",
    )


def _lines(
    members: Sequence[ReportRow], scale: Scale, columns: Sequence[tuple[str, str]]
) -> list[Markup]:
    names = short_names(members)
    return [_line(row, names.get(row.engine, row.engine), scale, columns) for row in members]


def _line(row: ReportRow, name: str, scale: Scale, columns: Sequence[tuple[str, str]]) -> Markup:
    cells = [
        _name_cell(row, name),
        _two(percent(row.top1, images=row.images), span(row.top1_interval, factor=100.0)),
        _drop_cell(row, scale),
        _two(milliseconds(row.p50_ms), span(row.p50_interval, digits=2)),
        _two(tail(row.p99_ms, 99, samples=row.timed), ""),
        _two(file_size(row.bytes), ""),
        fragment(
            status_mark(row.status),
            element("span", row.note, class_="under") if row.note else None,
        ),
    ]
    if _ENERGY in columns:
        cells.insert(-1, _two(millijoules(row.mj), span(row.mj_interval, digits=2)))
    line_of_cells = [
        element("td", cell, class_=class_, data_label=title)
        for cell, (title, class_) in zip(cells, columns, strict=True)
    ]
    return element("tr", *line_of_cells, class_=row.precision)


def _name_cell(row: ReportRow, name: str) -> Markup:
    mark = element("svg", dot(8, 8, row.precision), viewBox="0 0 16 16", class_="key")
    under = name.removeprefix(row.precision).lstrip("-_.")  # `int8-best` stands under `int8`
    stamp = element("strong", "UNCALIBRATED", class_="stamp") if row.uncalibrated else None
    return fragment(
        element("span", mark, row.precision, class_="precision", title=row.engine),
        element("span", under, class_="under") if under else None,
        element("span", stamp, class_="under") if stamp else None,
    )


def _two(figure: str, under: str) -> Markup:
    # The question mark hangs beside the column, so that digits stay under digits.
    doubt = element("span", "?", class_="doubt") if figure.endswith("?") else None
    return fragment(
        element(
            "span",
            figure.removesuffix("?"),
            doubt,
            class_="absent" if figure == NOTHING else "figure",
        ),
        element("span", under, class_="under") if under else None,
    )


def _drop_cell(row: ReportRow, scale: Scale) -> Markup:
    if row.drop_points is None:
        baseline = row.precision == "fp32" and row.top1 is not None
        return element("span", "baseline", class_="quiet") if baseline else _two(NOTHING, "")
    width, height = _FOREST
    low, high = row.drop_interval or (None, None)
    middle = height / 2
    forest = drawing(
        width,
        height,
        line(scale.at(0.0), 1, scale.at(0.0), height - 1, "zero"),
        line(scale.at(low), middle, scale.at(high), middle, f"error {row.precision}")
        if low is not None and high is not None
        else None,
        dot(scale.at(row.drop_points), middle, row.precision),
        title=f"drop {drop(row.drop_points)} points, interval {span((low, high), digits=2)}",
        class_="forest",
    )
    figures = _two(drop(row.drop_points), span(row.drop_interval, digits=2))
    return element("div", forest, element("div", figures), class_="beside")


def _drop_scale(rows: Sequence[ReportRow]) -> Scale:
    values = [0.0]
    for row in rows:
        values.extend(end for end in row.drop_interval or () if end is not None)
        values.extend([row.drop_points] if row.drop_points is not None else [])
    low, high = min(values), max(values)
    reach = max(high - low, 0.5)
    return scale_over((low, low + reach), 8.0, _FOREST[0] - 8.0, padding=0.02)
