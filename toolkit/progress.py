"""What a long step reports while it runs; whoever calls it decides how to draw it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

__all__ = ["Progress", "ProgressCallback", "silent"]


@dataclass(frozen=True)
class Progress:
    """`done` of `total` units of `step` are finished; `note` is a figure such as a loss."""

    step: str
    done: int
    total: int
    note: str = ""


ProgressCallback = Callable[[Progress], None]


def silent(_: Progress) -> None:
    """Report to nobody."""
