"""The section about kernels: which take longest, and in which precision they compute."""

from __future__ import annotations

from toolkit.report.markup import Markup, element, fragment
from toolkit.report.model import ReportInput, ReportRow
from toolkit.report.sections import Section
from toolkit.report.words import milliseconds, short_names

__all__ = ["slowest_layers"]

_HEAD = (
    ("Share, %", "number"),
    ("Median, ms", "number"),
    ("Precision", "text"),
    ("Operator", "text"),
    ("Kernel", "text"),
)


def slowest_layers(report: ReportInput) -> Section | None:
    """Return a table of the slowest kernels of every engine whose kernels were timed."""
    rows = [row for row in report.rows if row.slowest_layers]
    if not rows:
        return None
    aside = (
        "Kernels that take longest, from a profiled run apart from the timed one. The profiler "
        "itself takes time: shares mean more than sums. An arrow is a change of precision."
    )
    names = short_names(rows)
    body = fragment(*(_table(row, names[row.engine]) for row in rows))
    return Section("layers", "Slowest layers", aside, body)


def _table(row: ReportRow, name: str) -> Markup:
    head = element("tr", *(element("th", text, scope="col", class_=c) for text, c in _HEAD))
    lines = [
        element(
            "tr",
            element("td", f"{100.0 * each.share:.1f}", class_="number"),
            element("td", milliseconds(each.median_ms), class_="number"),
            element("td", each.precision.replace("->", "→")),
            element("td", each.operator),
            element("td", each.name, class_="under"),
        )
        for each in row.slowest_layers
    ]
    table = element("table", element("thead", head), element("tbody", *lines), class_="layers")
    return element("div", element("h3", name), table)
