"""Calibration images as network inputs, with the seconds that making them took."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from toolkit.contract import Contract
from toolkit.datasets.folder import open_folder, select
from toolkit.images import read_image

__all__ = ["Feed"]

_ALL = 10**9


class Feed:
    """The same inputs for every tool: the model's own preprocessing, one image after another.

    Nothing is decoded ahead, so that a tool's seconds less `seconds` are the tool's own.
    """

    def __init__(self, images: Path, contract: Contract, *, samples: int) -> None:
        folder = open_folder(images, contract=contract)
        self.images = select(folder, samples or _ALL, seed=0)
        self.input_name = contract.input_name
        self.seconds = 0.0
        self.preprocess = contract.preprocess

    def __len__(self) -> int:
        return len(self.images)

    def __iter__(self) -> Iterator[NDArray[np.float32]]:
        """Yield float32 (1, C, H, W)."""
        for image in self.images:
            started = time.perf_counter()
            pixels = self.preprocess(read_image(image.path))[None]
            self.seconds += time.perf_counter() - started
            yield pixels

    def batches(self, size: int) -> Iterator[NDArray[np.float32]]:
        """Yield float32 (n, C, H, W) with n up to `size`."""
        waiting: list[NDArray[np.float32]] = []
        for pixels in self:
            waiting.append(pixels)
            if len(waiting) == size:
                yield np.concatenate(waiting)
                waiting = []
        if waiting:
            yield np.concatenate(waiting)
