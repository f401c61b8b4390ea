"""A camera's BGR frame as network input: bit for bit what `Preprocess` gives for the RGB picture.

Only the part of the frame that the crop needs is copied, and channels are swapped after the
resize, when 1920 x 1080 pixels have become 224 x 224.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from toolkit.preprocess import Preprocess, cut_out

__all__ = ["input_from_bgr"]


def input_from_bgr(preprocess: Preprocess, frame: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Return the network input, float32 (C, height, width), of a BGR frame (H, W, 3)."""
    window = preprocess.window(frame.shape[1], frame.shape[0])
    if window is None or preprocess.colour == "gray":
        # Padding, no antialiasing or luma weights: rare, and Preprocess itself knows how.
        return preprocess(np.ascontiguousarray(frame[..., ::-1]))
    resized = preprocess.resize_window(cut_out(frame, window), window)
    pixels = np.asarray(resized, dtype=np.uint8)
    return preprocess.normalise(pixels[..., ::-1])
