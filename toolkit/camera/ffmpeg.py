"""Keeps OpenCV and FFmpeg from printing beside the one message that the user gets."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager

import cv2

__all__ = ["quiet"]


@contextmanager
def quiet() -> Iterator[None]:
    """Open videos for reading or writing inside: failures are reported by the caller alone."""
    # OpenCV reads this once, when it first uses FFmpeg; a user's own setting wins.
    os.environ.setdefault("OPENCV_FFMPEG_LOGLEVEL", "-8")
    before = cv2.utils.logging.getLogLevel()
    cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)
    try:
        yield
    finally:
        cv2.utils.logging.setLogLevel(before)
