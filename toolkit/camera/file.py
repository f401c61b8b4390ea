"""`file://clip.mp4`: a video through OpenCV's FFmpeg, at its own rate or as fast as it decodes.

`fps=N` sets the rate (0: as fast as possible), `loop=1` starts again at the end.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from toolkit.camera.ffmpeg import quiet
from toolkit.camera.frame import Camera, Frame, Status, bgr_from
from toolkit.camera.pace import Pace, pace_from_uri
from toolkit.camera.uri import CameraUri
from toolkit.clock import Clock
from toolkit.errors import CameraError
from toolkit.shell import quoted

__all__ = ["FileCamera", "open_file"]

_COUNT_TOLERANCE = 0.9
"""Some containers only estimate their frame count; below this part of it the file was cut off."""


class FileCamera:
    """Decodes each frame ahead of its time, so that a paced frame is as young as it says."""

    def __init__(
        self,
        uri: str,
        path: Path,
        capture: cv2.VideoCapture,
        pace: Pace,
        clock: Clock,
        *,
        loop: bool = False,
    ) -> None:
        self.uri = uri
        self._path = path
        self._capture = capture
        self._pace = pace
        self._clock = clock
        self._loop = loop
        self._index = 0
        self._decoded = 0  # since the file was opened last
        self._ahead: NDArray[np.uint8] | None = None

    def read(self, timeout_s: float) -> Frame | Status:
        """Return the next frame, END or CUT_OFF after the last, or TIMED_OUT."""
        if self._ahead is None:
            self._ahead = self._decode()
        if self._ahead is None:
            announced = self._capture.get(cv2.CAP_PROP_FRAME_COUNT)
            cut_off = self._decoded < announced * _COUNT_TOLERANCE
            return Status.CUT_OFF if cut_off else Status.END
        if self._pace.wait(timeout_s) is None:
            return Status.TIMED_OUT
        image, self._ahead = self._ahead, None
        index, self._index = self._index, self._index + 1
        return Frame(image, index, self._clock(), "read")

    def close(self) -> None:
        """Close the file."""
        self._capture.release()

    def _decode(self) -> NDArray[np.uint8] | None:
        image = _next_image(self._capture)
        if image is None and self._loop and self._decoded:
            self._capture.release()
            # Seeking to frame 0 lands elsewhere in files without an index; opening again does not.
            self._capture, self._decoded = _open(self._path), 0
            image = _next_image(self._capture)
        self._decoded += image is not None
        return image


@contextmanager
def open_file(uri: CameraUri, *, paced: bool, clock: Clock) -> Iterator[Camera]:
    """Yield a camera that plays a video. Raises CameraError when it is none."""
    uri.check_options({"fps", "loop"})
    path = uri.path()
    capture = _open(path)
    own_fps = capture.get(cv2.CAP_PROP_FPS)
    pace = pace_from_uri(uri, paced=paced, own_fps=own_fps if own_fps <= 1000 else 0, clock=clock)
    camera = FileCamera(uri.text, path, capture, pace, clock, loop=uri.flag("loop"))
    try:
        yield camera
    finally:
        camera.close()


def _open(path: Path) -> cv2.VideoCapture:
    if path.is_dir():
        raise CameraError(
            f"{path} is a folder, not a video.",
            next_command=f"edgekit live ENGINE --camera {quoted(f'images://{quoted(path)}')}",
        )
    if not path.is_file():
        raise CameraError(f"{path} does not exist.", next_command=f"ls -l {quoted(path.parent)}")
    if path.stat().st_size == 0:
        raise CameraError(f"{path} is empty (0 bytes).", next_command=f"ls -l {quoted(path)}")
    with quiet():
        # One decoder thread: more of them hold frames back and take cores from the engine.
        capture = cv2.VideoCapture(str(path), cv2.CAP_FFMPEG, [cv2.CAP_PROP_N_THREADS, 1])
    if not capture.isOpened():
        raise CameraError(
            f"{path} is not a video that FFmpeg can read, or it was cut off.",
            next_command=f"file {quoted(path)}",
        )
    return capture


def _next_image(capture: cv2.VideoCapture) -> NDArray[np.uint8] | None:
    given, image = capture.read()
    if not given or image is None or image.size == 0:
        return None
    return bgr_from(np.asarray(image, dtype=np.uint8))
