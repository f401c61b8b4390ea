"""Where a frame becomes a network input: before the engine, on the CPU, or inside its session."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from toolkit.frame_input import input_from_bgr
from toolkit.runtime.session import GivesMaps, Mapped, PreparesInput, Session

__all__ = ["Answer", "Answered", "Prepare", "TakesFrames", "frame_steps"]

Prepare = Callable[[NDArray[np.uint8]], NDArray[Any]]
"""A BGR frame (H, W, 3) to what the `Answer` of its session takes."""


@dataclass(frozen=True)
class Answered:
    """What an engine says of one frame: a row of logits, and the map of an engine that has one."""

    row: NDArray[np.float32]
    activation_map: NDArray[np.float32] | None = None
    """Of the winning class, (height, width) over the part of the frame that the network sees."""


Answer = Callable[[NDArray[Any]], Answered]


@runtime_checkable
class TakesFrames(Protocol):
    """A session that takes a camera's frame as it is and prepares it on its own device."""

    def infer_frame(self, frame: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Return the logits (1, classes) of a BGR frame (H, W, 3)."""


@runtime_checkable
class MapsFrames(Protocol):
    """A session that takes frames and can also give the class activation map."""

    def infer_frame_with_map(self, frame: NDArray[np.uint8]) -> Mapped:
        """Return logits (1, classes) and activation map (1, height, width) of a BGR frame."""


def frame_steps(session: Session, prepare: Prepare | None = None) -> tuple[Prepare, Answer]:
    """Return what any thread does to a frame, and what the session's thread does to the result.

    A session that takes frames gets them untouched, unless `prepare` replaces the contract's
    preprocessing.
    """
    if prepare is None and isinstance(session, TakesFrames):
        takes_frames: TakesFrames = session
        if session.contract.activation_map and isinstance(session, MapsFrames):
            maps_frames: MapsFrames = session
            return _untouched, lambda frame: _first(maps_frames.infer_frame_with_map(frame))
        return _untouched, lambda frame: Answered(takes_frames.infer_frame(frame)[0])
    prepare = prepare or partial(input_from_bgr, session.contract.preprocess)
    if isinstance(session, PreparesInput):
        return _prepared_steps(session, prepare)
    if session.contract.activation_map and isinstance(session, GivesMaps):
        gives_maps: GivesMaps = session
        return prepare, lambda pixels: _first(gives_maps.infer_with_map(pixels[None]))
    return prepare, lambda pixels: Answered(session.infer(pixels[None])[0])


def _prepared_steps(session: PreparesInput, picture: Prepare) -> tuple[Prepare, Answer]:
    def prepare(frame: NDArray[np.uint8]) -> NDArray[Any]:
        return session.prepare_input(picture(frame)[None])

    if session.contract.activation_map:
        return prepare, lambda ready: _first(session.infer_prepared_with_map(ready))
    return prepare, lambda ready: Answered(session.infer_prepared(ready)[0])


def _first(mapped: Mapped) -> Answered:
    return Answered(mapped.logits[0], mapped.maps[0])


def _untouched(frame: NDArray[np.uint8]) -> NDArray[Any]:
    return frame
