"""The two age curves of `benchmarks.rtsp_age`, as an SVG file that stands alone."""

from __future__ import annotations

from collections.abc import Sequence

from toolkit.report.drawing import label, line, path, rectangle
from toolkit.report.markup import Child, element
from toolkit.report.scale import Scale

__all__ = ["age_curves"]

_STYLE = (
    "svg{font:12px Arial,Helvetica,sans-serif}text{fill:#17212b}.quiet{fill:#566370}"
    ".paper{fill:#fbfcfd}.axis{stroke:#dde3e8;stroke-width:1}.ours,.naive{fill:none;stroke-width:2}"
    ".ours{stroke:#1f6f8b}.naive{stroke:#c4574b}"
)
_WIDTH, _HEIGHT = 640.0, 300.0
_LEFT, _RIGHT, _TOP, _BOTTOM = 64.0, 620.0, 40.0, 256.0
_POINTS = 400
"""More than these many points to a curve add bytes, not detail."""

Curve = Sequence[tuple[float, float]]
"""(seconds since the first answer, true age in milliseconds)."""


def age_curves(ours: Curve, naive: Curve) -> str:
    """Return both curves over time, the age on a scale by ratio."""
    title = "True age of each answer: Edgekit's live loop and a plain OpenCV read loop"
    ages = [age for _, age in (*ours, *naive)]
    across = Scale(0.0, max(seconds for seconds, _ in (*ours, *naive)), _LEFT, _RIGHT)
    up = Scale(min(ages) / 1.3, max(ages) * 1.3, _BOTTOM, _TOP, logarithmic=True)
    children: list[Child] = [label(_LEFT, 24, title)]
    for age in up.ticks(6):
        y = up.at(age)
        text = f"{age / 1e3:g} s" if age >= 1000 else f"{age:g} ms"
        children += [line(_LEFT, y, _RIGHT, y, "axis"), label(_LEFT - 8, y + 4, text, anchor="end")]
    for seconds in across.ticks(6):
        x = across.at(seconds)
        children.append(label(x, _BOTTOM + 18, f"{seconds:g} s", "quiet", anchor="middle"))
    for points, name, text in ((naive, "naive", "cv2.read() loop"), (ours, "ours", "edgekit live")):
        drawn = [(across.at(seconds), up.at(age)) for seconds, age in thinned(points)]
        children.append(path(drawn, name))
        children.append(label(_RIGHT, drawn[-1][1] - 10, text, anchor="end"))
    children.append(label(_RIGHT, _BOTTOM + 36, "time since the first answer", anchor="end"))
    picture = element(
        "svg",
        element("title", title),
        element("style", _STYLE),
        rectangle(0, 0, _WIDTH, _HEIGHT, "paper"),
        *children,
        xmlns="http://www.w3.org/2000/svg",
        viewBox=f"0 0 {_WIDTH:.0f} {_HEIGHT:.0f}",
        role="img",
        aria_label=title,
    )
    return picture + "\n"


def thinned(points: Curve) -> list[tuple[float, float]]:
    """Return at most about `_POINTS` points: the oldest answer of each group."""
    size = max(1, -(-len(points) // _POINTS))
    groups = [points[i : i + size] for i in range(0, len(points), size)]
    return [max(group, key=lambda point: point[1]) for group in groups]
