"""Draw progress on stderr: bars on a terminal, one line per finished step elsewhere."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

from toolkit.progress import Progress, ProgressCallback

__all__ = ["drawn"]

_WORTH_A_LINE_S = 0.5


@contextmanager
def drawn(*, quiet: bool = False) -> Iterator[ProgressCallback]:
    """Yield a callback that draws on stderr; nothing is drawn when `quiet`."""
    if quiet:
        yield lambda _: None
    elif sys.stderr.isatty():
        with _bars() as callback:
            yield callback
    else:
        yield _lines()


@contextmanager
def _bars() -> Iterator[ProgressCallback]:
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeElapsedColumn
    from rich.progress import Progress as Bars

    with Bars(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TextColumn("{task.fields[note]}"),
        console=Console(stderr=True),
    ) as bars:
        tasks = {}

        def show(progress: Progress) -> None:
            if progress.step not in tasks:
                tasks[progress.step] = bars.add_task(
                    progress.step, total=progress.total, note=progress.note
                )
            bars.update(
                tasks[progress.step],
                completed=progress.done,
                total=progress.total,
                note=progress.note,
            )

        yield show


def _lines() -> ProgressCallback:
    started: dict[str, float] = {}

    def show(progress: Progress) -> None:
        start = started.setdefault(progress.step, time.monotonic())
        if not progress.total or progress.done < progress.total:
            return  # without a terminal only what is finished is worth a line
        seconds = time.monotonic() - started.pop(progress.step, start)
        if seconds >= _WORTH_A_LINE_S:
            note = f"  {progress.note}" if progress.note else ""
            print(f"{progress.step}: {progress.total} in {seconds:.1f} s{note}", file=sys.stderr)

    return show
