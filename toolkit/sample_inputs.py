"""Generated pictures for comparing two forms of one network; for nothing that is reported."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from toolkit.preprocess import Preprocess

__all__ = ["sample_inputs"]


def sample_inputs(preprocess: Preprocess, n: int, *, seed: int = 0) -> NDArray[np.float32]:
    """Return `n` network inputs (n, C, H, W) made from pictures of smooth colours and noise."""
    generator = np.random.default_rng(seed)
    pictures = []
    for _ in range(n):
        coarse = generator.integers(0, 256, (8, 8, 3), dtype=np.uint8)
        size = (preprocess.width * 2, preprocess.height * 2)
        smooth = np.asarray(Image.fromarray(coarse).resize(size, Image.Resampling.BICUBIC))
        noisy = smooth + generator.normal(0.0, 12.0, smooth.shape)
        pictures.append(preprocess(np.clip(noisy, 0, 255).astype(np.uint8)))
    return np.stack(pictures)
