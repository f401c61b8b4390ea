"""Brings frames from the camera to the engine: the newest one, or each one in turn."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from numpy.typing import NDArray

from toolkit.camera.frame import Camera, Frame, Status
from toolkit.camera.frame_slot import FrameSlot
from toolkit.clock import Clock
from toolkit.live.frame_steps import Prepare
from toolkit.live.threads import Workers

__all__ = ["POLICIES", "Feed", "PreparedFrame"]

POLICIES = ("latest", "queue")
"""latest: the newest frame wins, older ones are dropped. queue: every frame, in turn."""

_READ_SLICE_S = 0.1  # how long a stop can go unnoticed


@dataclass(frozen=True)
class PreparedFrame:
    """A frame as the engine's `Answer` takes it, and when its preprocessing began and ended."""

    frame: Frame
    pixels: NDArray[Any]
    taken_s: float
    prepared_s: float


class Capture:
    """Reads the camera in its own thread until told to stop or no frame will follow."""

    def __init__(
        self, camera: Camera, give: Callable[[Frame], bool], clock: Clock, silence_s: float
    ) -> None:
        self._camera = camera
        self._give = give
        self._clock = clock
        self._silence_s = silence_s
        self.stop = threading.Event()
        self.ended = ""
        self.damaged = 0

    def run(self) -> None:
        """Hand on every frame. `ended` says why it stopped by itself."""
        newest_s = self._clock()
        while not self.stop.is_set():
            got = self._camera.read(_READ_SLICE_S)
            if isinstance(got, Frame):
                newest_s = self._clock()
                if not self._give(got):
                    return
                continue
            self.damaged += got is Status.DAMAGED
            if got.final:
                self.ended = got.value
                return
            if self._clock() - newest_s > self._silence_s:
                self.ended = f"no frame for {self._silence_s:g} s"
                return


class Feed:
    """Prepared frames for the thread that owns the engine.

    `latest`: one slot for the newest frame, prepared by the thread that asks. `queue`: the camera
    waits until a frame was taken, and a thread prepares the next one while the engine works.
    """

    def __init__(
        self, camera: Camera, prepare: Prepare, *, policy: str, clock: Clock, silence_s: float
    ) -> None:
        self._clock = clock
        self._prepare = prepare
        self._frames: FrameSlot[Frame] = FrameSlot(clock)
        self._prepared: FrameSlot[PreparedFrame] | None = None
        give = self._frames.offer
        if policy == "queue":
            self._prepared = FrameSlot(clock)
            give = self._frames.put
        self._capture = Capture(camera, give, clock, silence_s)
        self._workers = Workers(clock, yielding=policy == "queue")

    def __enter__(self) -> Feed:
        self._workers.start(self._capture.run, "capture", at_end=self._frames.close)
        if self._prepared is not None:
            into = self._prepared
            self._workers.start(lambda: self._prepare_all(into), "preprocess", at_end=into.close)
        return self

    def __exit__(self, *_: object) -> None:
        self._capture.stop.set()
        self._frames.close()
        if self._prepared is not None:
            self._prepared.close()
        if late := self._workers.join():
            self._capture.ended = f"{late} did not end"

    def next(self, timeout_s: float) -> PreparedFrame | None:
        """Return the next frame, or None if none came in time. Raises what a thread raised."""
        if self._prepared is not None:
            found = self._prepared.take(timeout_s)
        else:
            found = self._prepare_next(timeout_s)
        if found is None:
            self._workers.check()
        return found

    @property
    def exhausted(self) -> bool:
        """Return whether no frame will follow."""
        return (self._prepared or self._frames).exhausted

    @property
    def ended(self) -> str:
        """Return why no frame follows; "" while the camera gives them."""
        return self._capture.ended

    @property
    def dropped(self) -> int:
        """Return how many frames lost their place to a newer one that was taken."""
        return self._frames.replaced

    @property
    def damaged(self) -> int:
        """Return how many frames the camera could not decode."""
        return self._capture.damaged

    def _prepare_next(self, timeout_s: float) -> PreparedFrame | None:
        frame = self._frames.take(timeout_s)
        if frame is None:
            return None
        taken_s = self._clock()
        pixels = self._prepare(frame.image)
        return PreparedFrame(frame, pixels, taken_s, self._clock())

    def _prepare_all(self, into: FrameSlot[PreparedFrame]) -> None:
        while not self._frames.exhausted:
            prepared = self._prepare_next(_READ_SLICE_S)
            if prepared is not None and not into.put(prepared):
                return
