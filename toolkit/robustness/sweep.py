"""Run two open sessions over every corruption and severity of the same pictures."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from toolkit.datasets.decode import decoded
from toolkit.predictions import IdentifiedImage, infer
from toolkit.preprocess import Preprocess
from toolkit.progress import Progress, ProgressCallback, silent
from toolkit.robustness.corruptions import SEVERITIES, corrupted
from toolkit.robustness.record import CLEAN, CorruptedScore, Robustness
from toolkit.runtime import Session

__all__ = ["sweep_corruptions"]

_Batch = list[tuple[IdentifiedImage, NDArray[np.uint8]]]


def sweep_corruptions(
    sessions: tuple[Session, Session],
    images: Sequence[IdentifiedImage],
    corruptions: Sequence[str],
    *,
    batch_size: int,
    seed: int = 0,
    progress: ProgressCallback = silent,
) -> Robustness:
    """Return how both sessions, which prepare pictures alike, answer under `corruptions`.

    Each picture is decoded once and corrupted in memory, one batch at a time. Raises ImageError
    for a picture that cannot be decoded, ModelError for logits that are not finite.
    """
    preprocess = sessions[0].contract.preprocess
    cells = [(CLEAN, 0), *((name, severity) for name in corruptions for severity in SEVERITIES)]
    right: dict[tuple[str, int], tuple[list[str], list[str]]] = defaultdict(lambda: ([], []))
    done, total = 0, len(images) * len(cells)
    for batch in _batches(images, preprocess, batch_size):
        labels = np.array([image.label for image, _ in batch])
        identified = [image for image, _ in batch]
        for name, severity in cells:
            inputs = _inputs(batch, preprocess, name, severity, seed)
            for answers, session in zip(right[name, severity], sessions, strict=True):
                # argmax takes the first of equal logits, as Prediction.right does
                hit = infer(session, inputs, identified).argmax(axis=1) == labels
                answers.extend("01"[int(each)] for each in hit)
            done += len(batch)
            progress(Progress("corrupt", done, total, note=name))
    scores = tuple(
        CorruptedScore(name, severity, "".join(a), "".join(b))
        for (name, severity), (a, b) in right.items()
    )
    return Robustness(seed, preprocess.height, preprocess.width, scores)


def _batches(
    images: Sequence[IdentifiedImage], preprocess: Preprocess, size: int
) -> Iterator[_Batch]:
    batch: _Batch = []
    for entry in decoded(images, preprocess.pixels, ahead=size):
        batch.append(entry)
        if len(batch) == size:
            yield batch
            batch = []
    if batch:
        yield batch


def _inputs(
    batch: _Batch, preprocess: Preprocess, name: str, severity: int, seed: int
) -> NDArray[np.float32]:
    pictures = [
        corrupted(pixels, name, severity, image=image.digest, seed=seed) if severity else pixels
        for image, pixels in batch
    ]
    return preprocess.normalise(np.stack(pictures))
