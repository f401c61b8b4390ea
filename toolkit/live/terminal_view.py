"""The live view in a terminal: the most likely classes as bars, and how old the answers are."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TextIO

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from toolkit.live.newest_answer import NewestAnswer, Shown
from toolkit.live.samples import STAGES

__all__ = ["open_terminal_view", "picture_of"]

_PER_S = 5
_BAR_WIDTH = 30


@contextmanager
def open_terminal_view(
    *, engine: str, camera: str, file: TextIO | None = None
) -> Iterator[NewestAnswer]:
    """Yield a view that redraws itself five times a second, on stderr unless `file` is given."""
    newest = NewestAnswer()
    title = f"{engine}  {camera}"
    with Live(
        console=Console(file=file or sys.stderr, highlight=False),
        get_renderable=lambda: picture_of(newest, title),
        refresh_per_second=_PER_S,
        transient=True,
    ):
        yield newest


def picture_of(newest: NewestAnswer, title: str) -> RenderableType:
    """Return what the terminal shows now."""
    shown = newest.shown
    if shown is None:
        return Group(Text(title, style="bold"), Text("waiting for the first frame"))
    return Group(Text(title, style="bold"), _bars(shown), _figures(shown, newest.fps()))


def _bars(shown: Shown) -> Table:
    table = Table.grid(padding=(0, 1))
    for guess in shown.result.top:
        # Text, not markup: labels come from a file.
        table.add_row(
            Text(guess.label),
            ProgressBar(total=1.0, completed=guess.confidence, width=_BAR_WIDTH),
            Text(f"{guess.confidence:6.1%}"),
        )
    return table


def _figures(shown: Shown, fps: float | None) -> Text:
    result = shown.result
    doubt = "?" if result.timestamp_origin == "read" else ""
    rate = f"{fps:.1f} per second" if fps is not None else "? per second"
    lines = [
        f"{rate}, {shown.answered} answered, {shown.passed_over} passed over",
        f"frame age {result.frame_age_ms:.1f} ms{doubt}  "
        f"capture-to-result {result.capture_to_result_ms:.1f} ms{doubt}  "
        f"({result.timestamp_origin})",
        "  ".join(
            f"{name} {length:.1f}" for name, length in zip(STAGES, shown.stages_ms, strict=True)
        )
        + " ms",
    ]
    if result.uncertain:
        lines.append("uncertain")
    if result.smoothed_over > 1:
        lines.append(f"mean over {result.smoothed_over} frames")
    return Text("\n".join(lines))
