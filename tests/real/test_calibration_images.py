"""Photographs raise no warning about calibration images, and the same ones turned grey do."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from calibration.inputs import InputWatch, domain_notes
from tests.real.imagenet import IMAGENET as FOLDER
from tests.real.imagenet import needs_imagenet
from toolkit.datasets.folder import batches, open_folder, select
from toolkit.preprocess import IMAGENET


def _notes(images: NDArray[np.float32]) -> list[str]:
    watch = InputWatch()
    watch.add(images, np.tile(np.array([9.0, 0.0, 0.0], np.float32), (len(images), 1)))
    return domain_notes(watch.summary())


@needs_imagenet
def test_photographs_are_left_in_peace_and_grey_ones_are_not() -> None:
    chosen = select(open_folder(FOLDER / "train"), 48, seed=1)
    images = np.concatenate([part for part, _ in batches(chosen, IMAGENET, batch_size=8)])
    assert _notes(images) == []
    grey = np.repeat(images[:, :1], 3, axis=1)
    assert _notes(grey) == ["warning: calibration images: 48 of 48 are grey"]
