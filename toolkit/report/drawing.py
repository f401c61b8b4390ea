"""The few SVG shapes that the figures are drawn with; colours come from the style sheet."""

from __future__ import annotations

from collections.abc import Sequence

from toolkit.report.markup import Child, Markup, element

__all__ = ["Box", "dot", "drawing", "label", "line", "path", "rectangle", "text_width"]

_LETTER = 6.3
"""Mean width of a letter at the 12 px that figures are lettered in."""

Box = tuple[float, float, float, float]
"""Left, top, right, bottom."""


def drawing(width: float, height: float, *children: Child, title: str, class_: str = "") -> Markup:
    """Return an SVG that scales with the page and tells a screen reader what it shows."""
    return element(
        "svg",
        element("title", title),
        *children,
        viewBox=f"0 0 {width:.0f} {height:.0f}",
        role="img",
        aria_label=title,
        class_=class_ or None,
    )


def line(x1: float, y1: float, x2: float, y2: float, class_: str) -> Markup:
    """Return a straight line."""
    return element("line", x1=x1, y1=y1, x2=x2, y2=y2, class_=class_)


def rectangle(x: float, y: float, width: float, height: float, class_: str) -> Markup:
    """Return a rectangle that is wide enough to be seen."""
    return element("rect", x=x, y=y, width=max(width, 1.0), height=height, class_=class_)


def path(points: Sequence[tuple[float, float]], class_: str, *, closed: bool = False) -> Markup:
    """Return straight lines through `points`."""
    steps = "L".join(f"{x:.1f},{y:.1f}" for x, y in points)
    return element("path", d=f"M{steps}{'Z' if closed else ''}", class_=class_)


def label(x: float, y: float, text: str, class_: str = "", *, anchor: str = "start") -> Markup:
    """Return text whose baseline starts (or is centred, or ends) at `x`, `y`."""
    return element("text", text, x=x, y=y, class_=class_ or None, text_anchor=anchor)


def dot(x: float, y: float, precision: str, class_: str = "") -> Markup:
    """Return the mark of a precision: its shape says the same as its colour."""
    names = f"mark {precision} {class_}".rstrip()
    if precision == "fp16":
        return element("rect", x=x - 4.6, y=y - 4.6, width=9.2, height=9.2, class_=names)
    if precision == "int8":
        corners = [(x, y - 6.4), (x + 6.4, y), (x, y + 6.4), (x - 6.4, y)]
        return path(corners, names, closed=True)
    return element("circle", cx=x, cy=y, r=5.2, class_=names)


def text_width(text: str) -> float:
    """Return about how wide `text` is in a figure."""
    return _LETTER * len(text)
