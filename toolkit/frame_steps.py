"""Where a frame becomes a network input: before the engine, on the CPU, or inside its session."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from toolkit.frame_input import input_from_bgr
from toolkit.runtime.session import Session

__all__ = ["Answer", "TakesFrames", "frame_steps"]

Prepare = Callable[[NDArray[np.uint8]], NDArray[Any]]
Answer = Callable[[NDArray[Any]], NDArray[np.float32]]


@runtime_checkable
class TakesFrames(Protocol):
    """A session that takes a camera's frame as it is and prepares it on its own device."""

    def infer_frame(self, frame: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Return the logits (1, classes) of a BGR frame (H, W, 3)."""


def frame_steps(session: Session, prepare: Prepare | None = None) -> tuple[Prepare, Answer]:
    """Return what any thread does to a frame, and what the session's thread does to the result.

    The second gives one row of logits. A session that takes frames gets them untouched, unless
    `prepare` replaces the contract's preprocessing.
    """
    if prepare is None and isinstance(session, TakesFrames):
        takes_frames: TakesFrames = session
        return _untouched, lambda frame: takes_frames.infer_frame(frame)[0]
    prepare = prepare or partial(input_from_bgr, session.contract.preprocess)
    return prepare, lambda pixels: session.infer(pixels[None])[0]


def _untouched(frame: NDArray[np.uint8]) -> NDArray[Any]:
    return frame
