"""The diagnosis as one self-contained HTML page: stages, changes tried, layers, ranges, flips."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from toolkit.diagnose.graphs import range_text
from toolkit.diagnose.record import Diagnosis, LayerLoss, TensorLoss, Trial
from toolkit.report import background
from toolkit.report.drawing import drawing, label, line, path, rectangle
from toolkit.report.gallery import flip_sets
from toolkit.report.markup import Child, Markup, element, fragment
from toolkit.report.model import ReportInput
from toolkit.report.page import standalone_page
from toolkit.report.paired import paired_from_comparison
from toolkit.report.scale import Scale, scale_over
from toolkit.report.words import plural

__all__ = ["html_from_diagnosis"]

_WIDTH = 720.0
_STRIP = 74.0
_BINS = 120
_TENSORS = 8
_DECIBELS = 60.0
"""The right end of the axis of the layers: nothing above it matters."""


def html_from_diagnosis(diagnosis: Diagnosis) -> str:
    """Return the text of the page; thumbnails are read from the folder that was diagnosed on."""
    first = Path(diagnosis.model).name
    return standalone_page(
        f"Where {first} loses accuracy",
        element("div", element("p", diagnosis.line()), class_="findings"),
        _section("stages", "Stages", _STAGES, _stages(diagnosis)),
        _section("changes", "Changes tried", _CHANGES, _changes(diagnosis)),
        _section("layers", "Layers", _LAYERS, _layers(diagnosis.layers)),
        _section("ranges", "Ranges", _RANGES, _ranges(diagnosis.tensors)),
        _flips(diagnosis),
        *(element("p", note, class_="remark") for note in diagnosis.not_compared),
        *(element("p", note, class_="remark") for note in diagnosis.notes),
    )


_STAGES = "One step changes one thing. SQNR is of the logits, against the step before."
_CHANGES = (
    "Each was made on a copy of the model, alone, and the logits measured again. Faults first, "
    "then by the share of the squared error that the change removed."
)
_LAYERS = (
    "Filled: only this layer is INT8. Hollow: everything before it is, too. Decibels against the "
    "reference; further right is better."
)
_RANGES = (
    "The tensors that their range hurts most. The hill is the distribution of the values (square "
    "root of the counts); the band is the range in the file, the ticks are where our calibration "
    "would put it."
)


def _section(key: str, title: str, aside: str, body: Markup) -> Markup:
    return element(
        "section",
        element("div", element("h2", title), element("p", aside), class_="margin"),
        element("div", body, class_="body"),
        id=key,
    )


def _table(titles: Sequence[str], rows: Sequence[Sequence[Child]]) -> Markup:
    head = element("tr", *(element("th", title, scope="col") for title in titles))
    body = [
        element(
            "tr", *(element("td", cell, data_label=t) for t, cell in zip(titles, row, strict=True))
        )
        for row in rows
    ]
    return element("table", element("thead", head), element("tbody", *body), class_="plain")


def _stages(diagnosis: Diagnosis) -> Markup:
    rows = [
        (
            stage.name,
            _db(stage.sqnr_db),
            f"{100 * stage.agreement:.1f} %",
            f"{100 * stage.top1_before:.1f} → {100 * stage.top1_after:.1f} %",
        )
        for stage in diagnosis.stages
    ]
    images = plural(diagnosis.samples, "image")
    against = diagnosis.reference or "its own float skeleton"
    return fragment(
        _table(("Step", "SQNR", "Same answer", "Top-1"), rows),
        element("p", f"On {images}, against {against}.", class_="remark"),
    )


def _changes(diagnosis: Diagnosis) -> Markup:
    rows: list[Sequence[Child]] = [
        (
            element("strong", "fault", class_="stamp") if finding.fault else "cost",
            finding.text,
            finding.change,
            *_gain(finding.trial),
        )
        for finding in diagnosis.findings
    ]
    if diagnosis.together is not None:
        rows.append(("", "all ranges at fault", "choose anew, all", *_gain(diagnosis.together)))
    return _table(("", "What", "Change tried", "Error removed", "SQNR"), rows)


def _gain(trial: Trial) -> tuple[str, str]:
    return (
        f"{100 * trial.removed:.1f} %",
        f"{_db(trial.sqnr_before_db)} → {_db(trial.sqnr_after_db)}",
    )


def _db(value: float) -> str:
    return f"{value:.1f} dB" if np.isfinite(value) else ("exact" if value > 0 else "none left")


def _layers(layers: Sequence[LayerLoss]) -> Markup:
    across = Scale(0.0, _DECIBELS, _WIDTH * 0.42, _WIDTH - 8.0)
    height = 18.0 * len(layers) + 34.0
    parts: list[Markup] = [
        line(across.at(x), 0, across.at(x), height - 30, "grid") for x in across.ticks(6)
    ]
    for index, layer in enumerate(layers):
        y = 12.0 + 18.0 * index
        local, so_far = (
            across.at(min(max(value, 0.0), _DECIBELS))
            for value in (layer.local_sqnr_db, layer.accumulated_sqnr_db)
        )
        parts += [
            label(across.start - 8, y + 4, layer.layer[-44:], "quiet", anchor="end"),
            line(so_far, y, local, y, "axis"),
            element("circle", cx=so_far, cy=y, r=4.2, class_="mark fp32 beaten"),
            element("circle", cx=local, cy=y, r=4.2, class_="mark int8"),
        ]
    parts += [
        label(across.at(x), height - 14, f"{x:g}", "tick", anchor="middle") for x in across.ticks(6)
    ]
    parts.append(label(across.end, height, "SQNR, dB", "caption", anchor="end"))
    return drawing(_WIDTH, height, *parts, title=f"Errors of {plural(len(layers), 'layer')}")


def _ranges(tensors: Sequence[TensorLoss]) -> Markup:
    worst = sorted(tensors, key=lambda t: t.sqnr_db - min(t.best_sqnr_db, _DECIBELS))[:_TENSORS]
    return fragment(*(_histogram(tensor) for tensor in worst))


def _histogram(tensor: TensorLoss) -> Markup:
    histogram = tensor.histogram
    ends = [histogram.low, histogram.high, tensor.range.low, tensor.range.high]
    across = scale_over(ends, 6.0, _WIDTH - 6.0, smallest=1e-6)
    if across.logarithmic:  # only values on both sides of zero, or from zero up, make sense here
        across = Scale(min(ends), max(ends), 6.0, _WIDTH - 6.0)
    filled = np.flatnonzero(histogram.counts)
    centres = histogram.edges[filled] + histogram.width / 2
    places = [across.at(float(c)) for c in centres]
    heights, edges = np.histogram(
        places, bins=_BINS, range=(across.start, across.end), weights=histogram.counts[filled]
    )
    tall = np.sqrt(heights / max(float(heights.max()), 1.0)) * 34.0
    base = _STRIP - 18.0
    middle = (edges[:-1] + edges[1:]) / 2
    hill = [(float(x), base - float(h)) for x, h in zip(middle, tall, strict=True)]
    left, right = across.at(tensor.range.low), across.at(tensor.range.high)
    said = (
        f"{range_text(tensor.range)} in the file ({_db(tensor.sqnr_db)}), "
        f"{range_text(tensor.best)} ours ({_db(tensor.best_sqnr_db)})"
    )
    return drawing(
        _WIDTH,
        _STRIP,
        rectangle(left, base - 36.0, right - left, 36.0, "density"),
        element(
            "g",
            path([(hill[0][0], base), *hill, (hill[-1][0], base)], "density", closed=True),
            class_="int8",
        ),
        line(left, base - 40, left, base + 3, "quantile"),
        line(right, base - 40, right, base + 3, "quantile"),
        *(
            line(across.at(x), base - 12, across.at(x), base + 6, "quantile p50")
            for x in (tensor.best.low, tensor.best.high)
        ),
        line(across.start, base, across.end, base, "axis"),
        *(
            label(across.at(x), base + 14, f"{x:g}", "tick", anchor="middle")
            for x in across.ticks(6)
        ),
        label(6.0, 10.0, f"{tensor.tensor[-40:]}: {said}", "name"),
        title=f"Values and range of {tensor.tensor}",
    )


def _flips(diagnosis: Diagnosis) -> Markup | None:
    paired = paired_from_comparison(diagnosis.comparison)
    if not paired.changed:
        return None
    names = {paired.before_digest: "reference", paired.after_digest: Path(diagnosis.model).name}
    shown = background.flips(ReportInput(title="", rows=(), flips=flip_sets([paired], names)))
    if shown is None:
        return None
    return _section(shown.key, shown.title, shown.aside, shown.body)
