"""What a camera gives: a frame with the time it was captured, or the reason there is none."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

__all__ = ["ORIGINS", "Camera", "Frame", "Status", "bgr_from"]

ORIGINS = ("exposure", "driver", "gstreamer", "sender", "arrival", "read")
"""What `captured_at_s` is the time of, best first: start of exposure, the driver's interrupt,
GStreamer's base time + PTS, the sender's clock mapped by RTCP, the first packet's arrival, or only
the moment the picture was read (the true age is larger)."""


@dataclass(frozen=True)
class Frame:
    """One picture. `image` is uint8 (H, W, 3), BGR, C-contiguous, and never written to again."""

    image: NDArray[np.uint8]
    index: int
    """Counts from 0 what the camera gave, unreadable pictures included."""
    captured_at_s: float
    """On CLOCK_MONOTONIC, or the clock that the camera was opened with."""
    origin: str
    """One of ORIGINS."""


class Status(Enum):
    """Why there is no frame; the value is what the user reads."""

    END = "end of stream"
    CUT_OFF = "stream cut off before its announced end"
    UNPLUGGED = "camera unplugged"
    TIMED_OUT = "no frame in time"
    DAMAGED = "damaged frame"

    @property
    def final(self) -> bool:
        """Return whether no frame will follow."""
        return self in (Status.END, Status.CUT_OFF, Status.UNPLUGGED)


class Camera(Protocol):
    """A source of frames, read by one thread."""

    uri: str
    """What it was opened by, without any password."""

    def read(self, timeout_s: float) -> Frame | Status:
        """Return the next frame, or after at most about `timeout_s` why there is none."""
        ...


def bgr_from(image: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return `image` as uint8 (H, W, 3): grey is repeated, transparency dropped."""
    if image.ndim == 2:
        image = image[..., None]
    if image.shape[2] < 3:  # grey, or grey with alpha
        image = np.repeat(image[..., :1], 3, axis=2)
    return np.ascontiguousarray(image[..., :3])
