"""The pictures of docs/recentring-and-bias-correction.md, as SVG files that stand alone."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from toolkit.report.drawing import label, line, rectangle
from toolkit.report.markup import Child, element
from toolkit.report.scale import Scale, scale_over

__all__ = ["bars", "channel_means", "code_lines"]

_STYLE = (
    "svg{font:12px Arial,Helvetica,sans-serif}text{fill:#17212b}.quiet{fill:#566370}"
    ".paper{fill:#fbfcfd}.used{fill:#1f6f8b}.waste{fill:#e3b5a4}.bad{fill:#c4574b}"
    ".axis{stroke:#566370;stroke-width:1}.zero{stroke:#17212b;stroke-width:1.5}"
)
_WIDTH = 640.0
_BARS = (
    ("symmetric_db", "symmetric, as it comes", "used"),
    ("recentred_db", "recentred: c * sum(Wq), padded with -c", "used"),
    ("float_weights_db", "mistake: c * sum(W)", "bad"),
    ("zero_padding_db", "mistake: padded with 0", "bad"),
)


def _picture(height: float, title: str, *children: Child) -> str:
    return (
        element(
            "svg",
            element("title", title),
            element("style", _STYLE),
            rectangle(0, 0, _WIDTH, height, "paper"),
            *children,
            xmlns="http://www.w3.org/2000/svg",
            viewBox=f"0 0 {_WIDTH:.0f} {height:.0f}",
            role="img",
            aria_label=title,
        )
        + "\n"
    )


def code_lines(high: float) -> str:
    """Return the 256 codes over the values 0 to `high` of a Relu: symmetric, and recentred."""
    children: list[Child] = []
    axis = Scale(-128, 127, 20, _WIDTH - 20)
    zero, top = axis.at(0), axis.at(127)
    for row, (name, start) in enumerate((("symmetric", zero), ("recentred", axis.at(-128)))):
        y = 40.0 + 95 * row
        children += [
            label(20, y - 14, f"{name}: step {high / (127 if row == 0 else 255):.4f}"),
            rectangle(20, y, top - 20, 22, "waste"),
            rectangle(start, y, top - start, 22, "used"),
            label(start, y + 40, "0", anchor="middle"),
            label(top, y + 40, f"{high:.2f}", anchor="end"),
            line(start, y - 4, start, y + 26, "zero"),
            label(20, y + 56, "code -128", "quiet"),
            label(zero, y + 56, "code 0", "quiet", anchor="middle"),
            label(top, y + 56, "code 127", "quiet", anchor="end"),
        ]
    return _picture(200, "INT8 codes that the output of a Relu uses", *children)


def bars(figures: dict[str, float]) -> str:
    """Return the signal-to-noise ratio of the logits under each way to write the shift."""
    scale = scale_over([figures[key] for key, *_ in _BARS], 0, 270, from_zero=True)
    children: list[Child] = [label(20, 22, "SQNR of the logits against the float network, dB")]
    for row, (key, name, class_) in enumerate(_BARS):
        y = 38.0 + 30 * row
        zero, end = scale.at(0.0), scale.at(figures[key])
        children += [
            label(20, y + 14, name),
            rectangle(300 + min(zero, end), y, abs(end - zero), 20, class_),
            label(306 + max(zero, end), y + 14, f"{figures[key]:.1f}"),
        ]
    return _picture(170, "What recentring gains, and what two mistakes cost", *children)


def channel_means(before: NDArray[np.float64], after: NDArray[np.float64]) -> str:
    """Return the mean error of each output channel of a layer, before and after correction."""
    scale = scale_over([*before.tolist(), *after.tolist(), 0.0], 190, 40)
    step = (_WIDTH - 40) / max(len(before), 1)
    zero = scale.at(0.0)
    children: list[Child] = [
        label(20, 22, "Mean error of each output channel: before (red), after correction (blue)"),
        line(20, zero, _WIDTH - 20, zero, "axis"),
    ]
    for values, shift, class_ in ((before, 0.0, "bad"), (after, 0.45, "used")):
        for index, value in enumerate(values.tolist()):
            end = scale.at(value)
            x = 20 + step * (index + shift)
            children.append(rectangle(x, min(zero, end), 0.4 * step, abs(end - zero), class_))
    return _picture(205, "Mean error of a layer's output channels", *children)
