"""The trade-off curve of a search as one self-contained page: a plot and the same as a table."""

from __future__ import annotations

from collections.abc import Sequence

from toolkit.report.drawing import dot, drawing, label, line, path
from toolkit.report.markup import Markup, element, fragment
from toolkit.report.page import standalone_page
from toolkit.report.scale import Scale, scale_over
from toolkit.tune.result import CurvePoint, Tuned

__all__ = ["html_from_tuned", "tradeoff_plot"]

_FRAME = (52.0, 16.0, 746.0, 316.0)
_SIZE = (760.0, 360.0)
_COLUMNS = ("Layers in float", "Last one added", "MACs in INT8", "Drop, points", "At most, points")
_LATENCY_COLUMN = "p50 predicted, ms"
_AXIS_NOTE = (
    "Layers go to float in the order of error removed per millisecond. Milliseconds at the points "
    "are predicted from layer times; only the verdict's may be measured."
)


def html_from_tuned(tuned: Tuned) -> str:
    """Return the text of `model.tune.html`."""
    judged = tuned.judged
    return standalone_page(
        f"Tuning {tuned.model.path.name}",
        element("p", tuned.line(), class_="remark"),
        element("p", tuned.advice(), class_="remark") if tuned.advice() else None,
        element("p", _AXIS_NOTE, class_="remark") if tuned.latency else None,
        tradeoff_plot(tuned),
        _table(tuned),
        element(
            "p",
            f"The curve was measured on {tuned.curve[0].seen.n} images that steered the search; "
            f"its lowest points are lucky by choice. The verdict stands on {judged.n} other "
            f"images, used once: {judged.only_a} right in float alone, {judged.only_b} right in "
            f"the tuned model alone. Bounds are one-sided at {tuned.confidence:.1%} (Tango, "
            "paired).",
            class_="remark",
        ),
        *(element("p", note, class_="remark") for note in tuned.notes),
    )


def tradeoff_plot(tuned: Tuned) -> Markup:
    """Return the drop, with its one-sided bound, against the number of layers in float."""
    points = sorted(tuned.curve, key=lambda point: point.float_layers)
    left, top, right, bottom = _FRAME
    drops = [value for point in points for value in _span(point, tuned.confidence)]
    across = scale_over([0.0, *(float(p.float_layers) for p in points)], left, right, smallest=4.0)
    up = scale_over([0.0, tuned.max_drop, *drops], bottom, top, smallest=0.5)
    places = [(across.at(p.float_layers), up.at(100.0 * p.seen.drop)) for p in points]
    budget = up.at(tuned.max_drop)
    return drawing(
        *_SIZE,
        _axes(across, up),
        line(left, budget, right, budget, "axis"),
        label(right, budget - 5, f"budget {tuned.max_drop:g}", "caption", anchor="end"),
        path(places, "front") if len(places) > 1 else None,
        *(_mark(point, across, up, tuned.confidence) for point in points),
        title=f"Accuracy drop against layers in float, {len(points)} candidates",
    )


def _span(point: CurvePoint, confidence: float) -> tuple[float, float]:
    return 100.0 * point.seen.drop, 100.0 * point.seen.at_most(confidence)


def _axes(across: Scale, up: Scale) -> Markup:
    left, top, right, bottom = _FRAME
    marks: list[Markup] = []
    for y in up.ticks(5):
        marks.append(line(left, up.at(y), right, up.at(y), "grid"))
        marks.append(label(left - 8, up.at(y) + 4, f"{y:g}", "tick", anchor="end"))
    for x in across.ticks(8):
        if x >= 0.0 and x == int(x):
            marks.append(label(across.at(x), bottom + 17, f"{x:g}", "tick", anchor="middle"))
    return fragment(
        *marks,
        line(left, bottom, right, bottom, "axis"),
        label(right, bottom + 36, "layers in float", "caption", anchor="end"),
        label(left, top - 4, "drop, points", "caption"),
    )


def _mark(point: CurvePoint, across: Scale, up: Scale, confidence: float) -> Markup:
    x = across.at(point.float_layers)
    drop, bound = _span(point, confidence)
    return fragment(
        line(x, up.at(drop), x, up.at(bound), "error int8"),
        dot(x, up.at(drop), "int8" if point.chosen else "fp32"),
        label(x + 9, up.at(drop) + 4, _words(point), "name") if _words(point) else None,
    )


def _words(point: CurvePoint) -> str:
    words = ["chosen"] if point.chosen else []
    if point.predicted_ms is not None:
        words.append(f"{point.predicted_ms:.2f} ms")
    return ", ".join(words)


def _table(tuned: Tuned) -> Markup:
    points: Sequence[CurvePoint] = sorted(tuned.curve, key=lambda point: point.float_layers)
    columns = (*_COLUMNS, _LATENCY_COLUMN) if tuned.latency else _COLUMNS
    head = element("tr", *(element("th", name, scope="col") for name in columns))
    rows = []
    for point in points:
        drop, bound = _span(point, tuned.confidence)
        count = f"{point.float_layers}{' (chosen)' if point.chosen else ''}"
        cells = [count, point.last, f"{point.int8_mac_share:.1%}", f"{drop:.2f}", f"{bound:.2f}"]
        if tuned.latency:
            cells.append("" if point.predicted_ms is None else f"{point.predicted_ms:.3f}")
        rows.append(element("tr", *(element("td", cell) for cell in cells)))
    return element("table", element("thead", head), element("tbody", *rows))
