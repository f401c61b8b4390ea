"""Small folders of pictures for tests."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image

__all__ = ["write_classes", "write_picture"]


def write_picture(path: Path, *, seed: int = 0, size: tuple[int, int] = (20, 16)) -> Path:
    """Write a random picture of `size` (width, height), making its folder."""
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.random.default_rng(seed).integers(0, 256, (size[1], size[0], 3), dtype=np.uint8)
    Image.fromarray(pixels).save(path)
    return path


def write_classes(root: Path, classes: dict[str, int], *, suffix: str = ".png") -> Path:
    """Write so many pictures per class to root/CLASS/N.png and return `root`."""
    seed = 0
    for name, count in classes.items():
        for index in range(count):
            write_picture(root / name / f"{index}{suffix}", seed=seed)
            seed += 1
    return root
