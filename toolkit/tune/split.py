"""Which images calibrate, which steer the search and which judge its result: three disjoint sets.

A search that may look at the images which judge it finds a lucky candidate: the bound would be too
low. So the search never sees the images that judge, and they are used once.
"""

from __future__ import annotations

import hashlib
import random
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from toolkit.contract import Contract
from toolkit.datasets.folder import LabelledImage, open_folder, select
from toolkit.errors import InputError
from toolkit.images import image_digest
from toolkit.predictions import IdentifiedImage, images_to_score
from toolkit.progress import ProgressCallback
from toolkit.shell import quoted

__all__ = ["ImageSet", "Split", "split_images"]

_SEARCH_SHARE = 1 / 3
"""Of the images not calibrated on: the verdict's bound needs the larger part."""
_CALIBRATION_SHARE = 1 / 4
"""Of all images, at most, where calibration has no folder of its own."""
_FEWEST = 8


@dataclass(frozen=True)
class ImageSet:
    """Images with labels; `digest` stands for all of them, in order."""

    images: tuple[IdentifiedImage, ...]

    @property
    def digest(self) -> str:
        """Return one SHA-256 over the images' digests and labels."""
        text = "\n".join(f"{image.digest} {image.label}" for image in self.images)
        return hashlib.sha256(text.encode()).hexdigest()


@dataclass(frozen=True)
class Split:
    """Three disjoint sets of images, no picture in two of them, and notes on what was left out."""

    calibration: tuple[LabelledImage, ...]
    calibration_digests: tuple[str, ...]
    search: ImageSet
    judge: ImageSet
    notes: tuple[str, ...]


def split_images(
    images: Path,
    contract: Contract,
    *,
    calibration_images: Path | None,
    samples: int,
    limit: int | None,
    seed: int,
    progress: ProgressCallback,
) -> Split:
    """Return the three sets, each evenly over the classes; equal arguments give equal sets.

    Raises InputError when there are too few images, and what `open_folder` raises.
    """
    chosen = images_to_score(images, contract, limit=limit, progress=progress)
    distinct = tuple({image.digest: image for image in chosen.images}.values())
    notes = list(chosen.notes)
    if calibration_images is None:
        order = _interleaved(distinct, seed)
        count = min(samples, int(len(order) * _CALIBRATION_SHARE))
        calibration, rest = _labelled(order[:count]), order[count:]
        digests = tuple(image.digest for image in order[:count])
        notes.append(f"calibrated on {count} of the images in {images}, which are not scored")
    else:
        folder = open_folder(calibration_images, contract=contract)
        calibration = select(folder, samples, seed=seed)
        digests = tuple(image_digest(image.path) for image in calibration)
        rest = _interleaved([i for i in distinct if i.digest not in set(digests)], seed)
        if len(rest) < len(distinct):
            left_out = len(distinct) - len(rest)
            notes.append(f"{left_out} images of {images} were calibrated on and are not scored")
    count = round(len(rest) * _SEARCH_SHARE)
    if not calibration or count < _FEWEST:
        raise InputError(
            f"{images} holds {len(distinct)} different images: too few to calibrate, search and "
            "judge on separate ones.",
            next_command=f"edgekit tune MODEL.onnx --images {quoted(images)} "
            "--calibration-images TRAINING_DIR",
        )
    search, judge = (tuple(sorted(p, key=lambda i: i.name)) for p in (rest[:count], rest[count:]))
    return Split(calibration, digests, ImageSet(search), ImageSet(judge), tuple(notes))


def _interleaved(images: Sequence[IdentifiedImage], seed: int) -> list[IdentifiedImage]:
    """Return the images shuffled so that every prefix holds the classes evenly."""
    generator = random.Random(seed)
    piles: dict[int, list[IdentifiedImage]] = defaultdict(list)
    for image in images:
        piles[image.label].append(image)
    placed: list[tuple[float, float, IdentifiedImage]] = []
    for _, pile in sorted(piles.items()):
        generator.shuffle(pile)
        placed += [((k + 0.5) / len(pile), generator.random(), i) for k, i in enumerate(pile)]
    return [image for _, _, image in sorted(placed, key=lambda entry: entry[:2])]


def _labelled(images: Sequence[IdentifiedImage]) -> tuple[LabelledImage, ...]:
    return tuple(LabelledImage(image.path, image.label) for image in images)
