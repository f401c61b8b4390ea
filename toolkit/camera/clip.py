"""Write pictures as a video file: `.avi` (Motion JPEG) or `.mp4` (MPEG-4 part 2)."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from toolkit.atomic import replace_file
from toolkit.camera.ffmpeg import quiet
from toolkit.errors import CameraError, MachineError
from toolkit.shell import quoted

__all__ = ["write_clip"]

_CODECS = {
    # OpenCV's own Motion JPEG writer keeps quality 95; FFmpeg's would aim at a bit rate.
    ".avi": (cv2.CAP_OPENCV_MJPEG, "MJPG"),
    ".mp4": (cv2.CAP_FFMPEG, "mp4v"),
}


def write_clip(frames: Iterable[NDArray[np.uint8]], path: Path, *, fps: float = 30.0) -> int:
    """Write RGB pictures, uint8 (H, W, 3) of one size, to `path`; return how many.

    The file appears whole or not at all. Raises CameraError for an unknown file type, no pictures
    or pictures of different sizes, MachineError when the disk is full.
    """
    if path.suffix.lower() not in _CODECS:
        raise CameraError(
            f"{path} has no known video type: use {' or '.join(_CODECS)}.",
            next_command=f"mv {quoted(path)} {quoted(path.with_suffix('.avi'))}",
        )
    with replace_file(path) as temporary, quiet():
        count = _write(frames, temporary, path, fps)
        _check(temporary, path, count)
    return count


def _write(frames: Iterable[NDArray[np.uint8]], temporary: Path, path: Path, fps: float) -> int:
    backend, codec = _CODECS[path.suffix.lower()]
    writer, size, count = cv2.VideoWriter(), (0, 0), 0
    fourcc = cv2.VideoWriter.fourcc(*codec)
    try:
        for frame in frames:
            here = (frame.shape[1], frame.shape[0])
            if not count:
                size = here
                writer.open(str(temporary), backend, fourcc, fps, size)
                if not writer.isOpened():
                    raise CameraError(
                        f"OpenCV cannot write {codec} video of {size[0]} x {size[1]} pixels "
                        f"at {fps:g} frames per second.",
                        next_command="python -c 'import cv2; print(cv2.getBuildInformation())'",
                    )
            if here != size:
                raise CameraError(
                    f"A clip has one size: picture {count} is {here[0]} x {here[1]}, "
                    f"the first was {size[0]} x {size[1]}.",
                    next_command=f"edgekit live ENGINE --camera {quoted(f'images://{quoted(path.parent)}')}",
                )
            writer.write(np.ascontiguousarray(frame[..., ::-1]))
            count += 1
    finally:
        writer.release()
    if not count:
        raise CameraError(
            f"There are no pictures to write to {path}.", next_command=f"ls {quoted(path.parent)}"
        )
    return count


def _check(temporary: Path, path: Path, count: int) -> None:
    # OpenCV does not report failed writes, but the index comes last: a full disk loses it.
    capture = cv2.VideoCapture(str(temporary), cv2.CAP_FFMPEG)
    written = int(capture.get(cv2.CAP_PROP_FRAME_COUNT)) if capture.isOpened() else 0
    capture.release()
    if written != count:
        raise MachineError(
            f"{path} could not be written whole ({written} of {count} pictures): "
            "the disk may be full.",
            next_command=f"df -h {quoted(path.parent)}",
        )
