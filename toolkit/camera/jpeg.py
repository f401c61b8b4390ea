"""One JPEG picture of a Motion JPEG stream, from a network or a USB camera."""

from __future__ import annotations

import io

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from toolkit.camera.frame import bgr_from
from toolkit.images import MAX_PIXELS

__all__ = ["bgr_from_jpeg"]

_JPEG_END = b"\xff\xd9"


def bgr_from_jpeg(body: bytes) -> NDArray[np.uint8] | None:
    """Return the picture, uint8 (H, W, 3), BGR; None when it is damaged, cut off or too large."""
    # OpenCV paints over what is missing: only a picture with its end is whole.
    if _JPEG_END not in body[-64:]:
        return None
    try:
        with Image.open(io.BytesIO(body), formats=("JPEG",)) as picture:  # reads the header only
            if picture.width * picture.height > MAX_PIXELS:
                return None
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError):
        return None
    flags = cv2.IMREAD_COLOR | cv2.IMREAD_IGNORE_ORIENTATION
    image = cv2.imdecode(np.frombuffer(body, np.uint8), flags)
    return None if image is None else bgr_from(np.asarray(image, dtype=np.uint8))
