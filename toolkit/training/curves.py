"""A training run as one picture: loss and accuracy by epoch, and the confusion matrix."""

from __future__ import annotations

from collections.abc import Sequence

from toolkit.report.drawing import Box, label, line, path, rectangle
from toolkit.report.markup import Markup, element, fragment, raw
from toolkit.report.scale import Scale, scale_over
from toolkit.training.history import TrainingHistory

__all__ = ["svg_from_history"]

_WIDTH, _PANEL, _CELL = 760.0, 250.0, 26.0
_NAMED = 24
"""With more classes than this the cells of the matrix shrink, and carry neither name nor number."""
_STYLE = raw(
    "svg{background:#fbfcfd;font:12px Helvetica,Arial,'Liberation Sans',sans-serif}"
    "text{fill:#17212b}.quiet{fill:#566370}.grid{stroke:#e7ecf0}.axis{stroke:#566370}"
    ".train,.val{fill:none;stroke-width:2}.train{stroke:#b0620a}.val{stroke:#08746a}"
    "text.train{fill:#b0620a;stroke:none}text.val{fill:#08746a;stroke:none}"
    ".right{fill:#08746a}.wrong{fill:#b3261e}.empty{fill:#f2f5f7}"
)


def svg_from_history(history: TrainingHistory) -> str:
    """Return the picture as the text of an SVG file."""
    epochs, half = history.epochs, _WIDTH / 2
    losses = ([e.train_loss for e in epochs], [e.val_loss for e in epochs])
    shares = ([e.train_accuracy for e in epochs], [e.val_top1 for e in epochs])
    accuracy = Scale(0.0, 1.0, _PANEL - 30.0, 40.0)
    loss = scale_over([*losses[0], *losses[1]], _PANEL - 30.0, 40.0, from_zero=True)
    matrix, height = _matrix(history, top=_PANEL + 50.0)
    title = f"{history.arch}: top-1 {history.top1:.2%} after {len(epochs)} epochs"
    return element(
        "svg",
        element("title", title),
        element("style", _STYLE),
        _panel("loss", losses, loss, (50.0, 40.0, half - 20.0, _PANEL - 30.0)),
        _panel("accuracy", shares, accuracy, (half + 40.0, 40.0, _WIDTH - 20.0, _PANEL - 30.0)),
        label(50.0, 18.0, title),
        matrix,
        xmlns="http://www.w3.org/2000/svg",
        viewBox=f"0 0 {_WIDTH:.0f} {height:.0f}",
        width=_WIDTH,
        height=height,
        role="img",
    )


def _panel(
    name: str, series: tuple[Sequence[float], Sequence[float]], up: Scale, frame: Box
) -> Markup:
    left, top, right, bottom = frame
    count = len(series[0])
    across = Scale(0.5, count + 0.5, left, right)
    step = max(1, -(-count // 10))
    marks = [
        label(across.at(n), bottom + 16.0, str(n), "quiet", anchor="middle")
        for n in range(1, count + 1, step)
    ]
    for value in up.ticks(5):
        marks.append(line(left, up.at(value), right, up.at(value), "grid"))
        marks.append(label(left - 6.0, up.at(value) + 4.0, f"{value:g}", "quiet", anchor="end"))
    for values, class_ in zip(series, ("train", "val"), strict=True):
        points = [(across.at(n), up.at(value)) for n, value in enumerate(values, start=1)]
        marks.append(path(points, class_))
        marks.extend(rectangle(x - 2.0, y - 2.0, 4.0, 4.0, class_) for x, y in points)
    return fragment(
        *marks,
        line(left, bottom, right, bottom, "axis"),
        label(left, top - 6.0, f"{name} by epoch", "quiet"),
        label(right - 70.0, top - 6.0, "training", "train", anchor="end"),
        label(right, top - 6.0, "validation", "val", anchor="end"),
    )


def _matrix(history: TrainingHistory, *, top: float) -> tuple[Markup, float]:
    """Return the confusion matrix, a row per true class, and the height of the whole picture."""
    classes, named = history.classes, len(history.classes) <= _NAMED
    left = 50.0 + (6.3 * min(24, max(len(name) for name in classes)) if named else 0.0)
    cell = min(_CELL, (_WIDTH - left - 20.0) / len(classes))
    totals = [0] * len(classes)
    for row, _, n in history.confusion:
        totals[row] += n
    side = cell * len(classes)
    parts = [label(left, top - 10.0, "validation: true class (row), answer (column)", "quiet")]
    parts.append(rectangle(left, top, side, side, "empty"))
    for row, column, n in history.confusion:
        x, y = left + column * cell, top + row * cell
        parts.append(
            element(
                "rect",
                element("title", f"{classes[row]} taken for {classes[column]}: {n}"),
                x=x,
                y=y,
                width=cell,
                height=cell,
                class_="right" if row == column else "wrong",
                fill_opacity=f"{0.15 + 0.6 * n / totals[row]:.2f}",
            )
        )
        if named:
            parts.append(label(x + cell / 2, y + cell / 2 + 4.0, str(n), anchor="middle"))
    if named:
        for row, name in enumerate(classes):
            middle = top + (row + 0.5) * cell + 4.0
            parts.append(label(left - 6.0, middle, name[:24], "quiet", anchor="end"))
    return fragment(*parts), top + side + 20.0
