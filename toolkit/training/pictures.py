"""The pictures of a training folder in batches, decoded once when they fit in memory."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from toolkit.contract import Contract
from toolkit.datasets.decode import decoded
from toolkit.datasets.folder import ImageFolder, LabelledImage, folder_of_classes, open_folder
from toolkit.errors import InputError
from toolkit.preprocess import Preprocess
from toolkit.progress import Progress, ProgressCallback
from toolkit.shell import quoted

__all__ = ["Pictures", "batches_of", "open_pictures", "open_splits"]

_CACHE_BYTES = 1 << 30
_TRAIN_NAMES = ("train", "train_data")
_VAL_NAMES = ("val", "test_data", "test", "valid", "validation")


@dataclass(frozen=True)
class Pictures:
    """Labelled pictures; `cache` holds all their cropped pixels (n, H, W, C), or None."""

    images: tuple[LabelledImage, ...]
    preprocess: Preprocess
    threads: int
    cache: NDArray[np.uint8] | None

    @property
    def count(self) -> int:
        """Return the number of pictures."""
        return len(self.images)

    @cached_property
    def labels(self) -> NDArray[np.int64]:
        """Return the label of every picture, (n,)."""
        return np.asarray([image.label for image in self.images], dtype=np.int64)

    def read(self, batches: Sequence[NDArray[np.int64]]) -> Iterator[NDArray[np.uint8]]:
        """Yield the pixels, uint8 (n, H, W, C), of each batch of picture numbers."""
        if self.cache is not None:
            for batch in batches:
                yield self.cache[batch]
            return
        wanted = [self.images[index] for batch in batches for index in batch]
        ahead = max((len(batch) for batch in batches), default=1)
        pixels = _pixels(wanted, self.preprocess, ahead, self.threads)
        for batch in batches:
            yield np.stack([next(pixels) for _ in batch])


def batches_of(order: NDArray[np.int64], batch_size: int) -> list[NDArray[np.int64]]:
    """Return `order` cut into as few batches of at most `batch_size` as can be, of like sizes.

    In a small last batch each picture would count for more, and might not go round the workers.
    """
    return np.array_split(order, -(-len(order) // batch_size))


def open_splits(data: Path, *, contract: Contract | None = None) -> tuple[ImageFolder, ImageFolder]:
    """Return the training and the validation pictures of `data`, with equal classes.

    The classes are those of a trained model where its `contract` is given, else the folders of
    the training pictures. The folders are called train and val, or train_data and test_data.
    Raises InputError when one is missing, has one class or an empty class; LabelsError when a
    validation class was not trained.
    """
    train = open_folder(_split(data, _TRAIN_NAMES), contract=contract)
    if contract is not None:
        return train, open_folder(_split(data, _VAL_NAMES), contract=contract)
    val = folder_of_classes(_split(data, _VAL_NAMES), ids=train.classes, labels=train.classes)
    return train, val


def open_pictures(
    folder: ImageFolder,
    preprocess: Preprocess,
    *,
    step: str,
    threads: int = 0,
    progress: ProgressCallback,
) -> Pictures:
    """Return the pictures of `folder`; up to 1 GiB of pixels are decoded now and kept."""
    total = len(folder.images)
    shape = (total, preprocess.height, preprocess.width, preprocess.channels)
    if np.prod(shape, dtype=np.int64) > _CACHE_BYTES:
        return Pictures(folder.images, preprocess, threads, None)
    cache = np.empty(shape, dtype=np.uint8)
    for index, pixels in enumerate(_pixels(folder.images, preprocess, 8, threads)):
        cache[index] = pixels
        if index % 100 == 99 or index + 1 == total:
            progress(Progress(step, index + 1, total))
    return Pictures(folder.images, preprocess, threads, cache)


def _pixels(
    images: Sequence[LabelledImage], preprocess: Preprocess, ahead: int, threads: int
) -> Iterator[NDArray[np.uint8]]:
    for _, pixels in decoded(images, preprocess.pixels, ahead=ahead, threads=threads):
        yield pixels


def _split(data: Path, names: tuple[str, ...]) -> Path:
    if not data.is_dir():
        what = "is a file, not a folder" if data.exists() else "does not exist"
        raise InputError(f"{data} {what}.", next_command=f"ls -l {quoted(data.parent)}")
    found = next((data / name for name in names if (data / name).is_dir()), None)
    if found is None:
        raise InputError(
            f"{data} has no folder {names[0]}/ (or {', '.join(names[1:])}) with one folder per "
            "class in it.",
            next_command=f"ls {quoted(data)}",
        )
    return found
