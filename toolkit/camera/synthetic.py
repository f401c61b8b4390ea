"""`synthetic://640x480@30?jitter=5&seed=0`: a drifting pattern, for machines without a camera.

Frames are exposed at exact intervals and reach the reader up to `jitter` milliseconds later, so
their true age is known. Without `@fps` they come as fast as they are asked for, or at 30 per second
when paced. `frames=N` ends the stream.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
from PIL import Image

from toolkit.camera.frame import Camera, Frame, Status
from toolkit.camera.pace import DEFAULT_FPS, Pace
from toolkit.camera.uri import CameraUri
from toolkit.clock import Clock
from toolkit.errors import CameraError

__all__ = ["SyntheticCamera", "open_synthetic"]

_TARGET = re.compile(r"(\d{1,5})x(\d{1,5})(?:@(\d+(?:\.\d+)?))?")
_MAX_PIXELS = 1 << 26  # 8K is half of it
_DRIFT = 64
"""The pattern moves this many pixels before it starts again."""


class SyntheticCamera:
    """Shows a window that drifts over a random pattern; equal seeds give equal pictures."""

    def __init__(
        self,
        uri: str,
        size: tuple[int, int],
        pace: Pace,
        *,
        jitter_s: float = 0.0,
        seed: int = 0,
        frames: int = 0,
    ) -> None:
        self.uri = uri
        self._width, self._height = size
        self._pace = pace
        self._random = np.random.default_rng(seed)
        self._jitter_s = jitter_s
        self._frames = frames
        self._index = 0
        self._pattern = self._draw()
        self._delay_s = self._next_delay()

    def read(self, timeout_s: float) -> Frame | Status:
        """Return the next frame, END after the last, or TIMED_OUT."""
        if self._frames and self._index >= self._frames:
            return Status.END
        exposed_at_s = self._pace.wait(timeout_s, self._delay_s)
        if exposed_at_s is None:
            return Status.TIMED_OUT
        index, self._index = self._index, self._index + 1
        self._delay_s = self._next_delay()
        shift = index % _DRIFT
        picture = self._pattern[shift : shift + self._height, shift : shift + self._width].copy()
        return Frame(picture, index, exposed_at_s, "exposure")

    def _next_delay(self) -> float:
        return float(self._random.uniform(0.0, self._jitter_s)) if self._jitter_s else 0.0

    def _draw(self) -> np.ndarray[tuple[int, ...], np.dtype[np.uint8]]:
        size = (self._width + _DRIFT, self._height + _DRIFT)
        coarse = self._random.integers(0, 256, (9, 12, 3), dtype=np.uint8)
        return np.asarray(Image.fromarray(coarse).resize(size, Image.Resampling.BILINEAR))


@contextmanager
def open_synthetic(uri: CameraUri, *, paced: bool, clock: Clock) -> Iterator[Camera]:
    """Yield a camera that draws its own pictures. Raises CameraError for an impossible size."""
    uri.check_options({"jitter", "seed", "frames"})
    match = _TARGET.fullmatch(uri.target)
    width, height = (int(match[1]), int(match[2])) if match else (0, 0)
    fps = float(match[3] or (DEFAULT_FPS if paced else 0)) if match else 0.0
    if not 1 <= width * height <= _MAX_PIXELS or fps > 1000:
        raise CameraError(
            f"{uri.text} is not WIDTHxHEIGHT or WIDTHxHEIGHT@FPS with at most {_MAX_PIXELS} "
            "pixels and 1000 frames per second.",
            next_command="edgekit live ENGINE --camera synthetic://640x480@30",
        )
    yield SyntheticCamera(
        uri.text,
        (width, height),
        Pace(fps, clock),
        jitter_s=uri.number("jitter", 0, low=0, high=10_000) / 1e3,
        seed=int(uri.number("seed", 0, low=0, high=2**32)),
        frames=int(uri.number("frames", 0, low=0, high=1e9)),
    )
