"""The ten road signs as flat drawings, RGBA, transparent around the plate."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import lru_cache

from PIL import Image, ImageDraw

__all__ = ["SIGNS", "sign_drawing"]

_SIDE = 192
_RED, _BLUE, _WHITE, _BLACK = (196, 22, 28), (20, 82, 160), (245, 245, 245), (20, 20, 20)
_YELLOW = (248, 196, 20)

_Points = list[tuple[float, float]]
_Draw = ImageDraw.ImageDraw


@lru_cache(maxsize=16)
def sign_drawing(name: str) -> Image.Image:
    """Return the drawing of one of SIGNS, 192 x 192, RGBA. Callers must not change it."""
    image = Image.new("RGBA", (2 * _SIDE, 2 * _SIDE))
    _DRAWINGS[name](ImageDraw.Draw(image))
    return image.resize((_SIDE, _SIDE), Image.Resampling.BOX)  # twice the size: smooth edges


def _xy(x: float, y: float) -> tuple[float, float]:
    """Return pixels of the double-size canvas for sign coordinates from -1 to 1."""
    return (x + 1) * _SIDE, (y + 1) * _SIDE


def _polygon(draw: _Draw, points: _Points, colour: tuple[int, int, int]) -> None:
    draw.polygon([_xy(x, y) for x, y in points], fill=colour)


def _disc(draw: _Draw, radius: float, colour: tuple[int, int, int]) -> None:
    draw.ellipse([_xy(-radius, -radius), _xy(radius, radius)], fill=colour)


def _line(draw: _Draw, points: _Points, width: float, colour: tuple[int, int, int]) -> None:
    pixels = [_xy(x, y) for x, y in points]
    draw.line(pixels, fill=colour, width=round(width * _SIDE), joint="curve")


def _regular(corners: int, radius: float, turn: float) -> _Points:
    angles = [turn + 2 * math.pi * k / corners for k in range(corners)]
    return [(radius * math.cos(a), radius * math.sin(a)) for a in angles]


def _stop(draw: _Draw) -> None:
    _polygon(draw, _regular(8, 0.98, math.pi / 8), _WHITE)
    _polygon(draw, _regular(8, 0.90, math.pi / 8), _RED)
    _word(draw, "STOP", left=-0.70, top=-0.27, width=0.31, height=0.54, stroke=0.1, colour=_WHITE)


def _yield(draw: _Draw) -> None:
    _polygon(draw, [(-0.98, -0.84), (0.98, -0.84), (0.0, 0.88)], _RED)
    _polygon(draw, [(-0.58, -0.62), (0.58, -0.62), (0.0, 0.42)], _WHITE)


def _no_entry(draw: _Draw) -> None:
    _disc(draw, 0.96, _WHITE)
    _disc(draw, 0.90, _RED)
    _polygon(draw, [(-0.66, -0.17), (0.66, -0.17), (0.66, 0.17), (-0.66, 0.17)], _WHITE)


def _priority_road(draw: _Draw) -> None:
    _polygon(draw, _regular(4, 0.98, 0.0), _BLACK)
    _polygon(draw, _regular(4, 0.94, 0.0), _WHITE)
    _polygon(draw, _regular(4, 0.62, 0.0), _YELLOW)


def _speed(number: str) -> Callable[[_Draw], None]:
    def draw_it(draw: _Draw) -> None:
        _disc(draw, 0.96, _RED)
        _disc(draw, 0.74, _WHITE)
        _word(draw, number, left=-0.5, top=-0.4, width=0.44, height=0.8, stroke=0.15, colour=_BLACK)

    return draw_it


def _crossing(draw: _Draw) -> None:
    _polygon(draw, [(-0.9, -0.9), (0.9, -0.9), (0.9, 0.9), (-0.9, 0.9)], _BLUE)
    _polygon(draw, [(0.0, -0.78), (0.74, 0.72), (-0.74, 0.72)], _WHITE)
    draw.ellipse([_xy(-0.1, -0.42), _xy(0.1, -0.22)], fill=_BLACK)
    for bone in (
        [(0.0, -0.2), (0.0, 0.2)],
        [(0.0, 0.16), (-0.24, 0.56)],
        [(0.0, 0.16), (0.22, 0.56)],
        [(-0.26, 0.12), (0.0, -0.14), (0.26, 0.08)],
    ):
        _line(draw, bone, 0.1, _BLACK)


def _turn_right(draw: _Draw) -> None:
    _disc(draw, 0.96, _WHITE)
    _disc(draw, 0.90, _BLUE)
    _line(draw, [(-0.3, 0.6), (-0.3, -0.1), (0.2, -0.1)], 0.22, _WHITE)
    _polygon(draw, [(0.14, -0.42), (0.66, -0.1), (0.14, 0.22)], _WHITE)


def _roundabout(draw: _Draw) -> None:
    _disc(draw, 0.96, _WHITE)
    _disc(draw, 0.90, _BLUE)
    for third in range(3):
        start = 2 * math.pi * third / 3
        angles = [start + k * 0.17 for k in range(8)]
        arc = [(0.5 * math.cos(a), 0.5 * math.sin(a)) for a in angles]
        _line(draw, arc, 0.17, _WHITE)
        tip = angles[-1] + 0.62
        head = [(r * math.cos(angles[-1]), r * math.sin(angles[-1])) for r in (0.28, 0.72)]
        _polygon(draw, [*head, (0.5 * math.cos(tip), 0.5 * math.sin(tip))], _WHITE)


_STROKES: dict[str, list[_Points]] = {
    "0": [[(0, 0), (1, 0), (1, 1), (0, 1), (0, 0), (0.2, 0)]],
    "3": [[(0, 0), (1, 0), (1, 1), (0, 1)], [(0.25, 0.48), (1, 0.48)]],
    "5": [[(1, 0), (0, 0), (0, 0.46), (1, 0.46), (1, 1), (0, 1)]],
    "8": [[(0, 0), (1, 0), (1, 1), (0, 1), (0, 0), (0.2, 0)], [(0, 0.48), (1, 0.48)]],
    "O": [[(0, 0), (1, 0), (1, 1), (0, 1), (0, 0), (0.2, 0)]],
    "P": [[(0, 1), (0, 0), (1, 0), (1, 0.52), (0, 0.52)]],
    "S": [[(1, 0), (0, 0), (0, 0.48), (1, 0.48), (1, 1), (0, 1)]],
    "T": [[(0, 0), (1, 0)], [(0.5, 0), (0.5, 1)]],
}
"""Letters as strokes in a unit square: fonts differ between machines, these do not."""


def _word(
    draw: _Draw,
    text: str,
    *,
    left: float,
    top: float,
    width: float,
    height: float,
    stroke: float,
    colour: tuple[int, int, int],
) -> None:
    pitch = (-2 * left - width) / (len(text) - 1)
    for index, letter in enumerate(text):
        x = left + index * pitch
        for points in _STROKES[letter]:
            inner = width - stroke
            placed = [
                (x + stroke / 2 + u * inner, top + stroke / 2 + v * (height - stroke))
                for u, v in points
            ]
            _line(draw, placed, stroke, colour)


_DRAWINGS: dict[str, Callable[[_Draw], None]] = {
    "crossing": _crossing,
    "no-entry": _no_entry,
    "priority-road": _priority_road,
    "roundabout": _roundabout,
    "speed-30": _speed("30"),
    "speed-50": _speed("50"),
    "speed-80": _speed("80"),
    "stop": _stop,
    "turn-right": _turn_right,
    "yield": _yield,
}

SIGNS = tuple(_DRAWINGS)
"""The ten classes, in the sorted order that class folders have."""
