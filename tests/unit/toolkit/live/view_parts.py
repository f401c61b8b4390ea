"""Answered frames without a loop, for the tests of the views."""

from __future__ import annotations

import time

import numpy as np

from toolkit.camera.frame import Frame
from toolkit.live.newest_answer import NewestAnswer
from toolkit.live.samples import FrameTimes
from toolkit.results import Result
from toolkit.top_k import Guess

__all__ = ["LABELS", "show", "shown_frame"]

LABELS = ("ant", "bee", "<b>cat</b>", "dog [red]", "a name that is rather long for a narrow page")


def shown_frame(index: int, *, size: tuple[int, int] = (48, 64)) -> Frame:
    """Return a picture whose colour follows from its index."""
    image = np.full((*size, 3), 40 * index % 256, np.uint8)
    return Frame(image, index, time.monotonic() - 0.020, "driver")


def show(
    newest: NewestAnswer,
    index: int,
    *,
    age_ms: float = 12.0,
    size: tuple[int, int] = (48, 64),
    uncertain: bool = False,
) -> None:
    """Show one frame; the shares of the classes turn with its index."""
    best = 0.5 + index % 9 / 32
    shares = np.roll([best, *((1 - best) * np.array([0.5, 0.25, 0.125, 0.125]))], index)
    top = sorted(
        (Guess(i, LABELS[i], f"n{i}", float(shares[i])) for i in range(5)),
        key=lambda guess: -guess.confidence,
    )
    frame = shown_frame(index, size=size)
    start, age_s = frame.captured_at_s, age_ms / 1e3
    inferred_s = start + age_s + 0.006
    times = FrameTimes(
        start, start + age_s / 2, start + age_s, start + age_s, inferred_s, inferred_s + 0.001
    )
    result = Result(
        index, start, "driver", age_ms, times.capture_to_result_ms, tuple(top), uncertain=uncertain
    )
    newest.show(frame, result, times)
