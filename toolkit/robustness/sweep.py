"""Run two open sessions over every corruption and severity of the same pictures."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from toolkit.datasets.decode import decoded
from toolkit.line_journal import LineJournal
from toolkit.predictions import IdentifiedImage, infer
from toolkit.preprocess import Preprocess
from toolkit.progress import Progress, ProgressCallback, silent
from toolkit.robustness.corruptions import corrupted
from toolkit.robustness.record import CorruptedScore, Robustness, cells_of
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
    journal: LineJournal | None = None,
    progress: ProgressCallback = silent,
) -> Robustness:
    """Return how both sessions, which prepare pictures alike, answer under `corruptions`.

    Each picture is decoded once and corrupted in memory, one batch at a time. With a `journal`
    (`open_sweep_journal`), what an earlier run wrote is taken over and each answer written down.
    Raises ImageError for a picture that cannot be decoded, ModelError for logits that are not
    finite.
    """
    kept = journal or LineJournal()
    preprocess = sessions[0].contract.preprocess
    cells = cells_of(corruptions)
    right: dict[tuple[str, int], tuple[list[str], list[str]]] = defaultdict(lambda: ([], []))

    def take(name: str, severity: int, *answers: str) -> None:
        for each, answer in zip(right[name, severity], answers, strict=True):
            each.append(answer)

    for line in kept.lines:
        take(*line)
    whole, part = divmod(len(kept.lines), len(cells))
    rest = images[whole * batch_size :]
    done, total = (len(images) - len(rest)) * len(cells), len(images) * len(cells)
    for batch in _batches(rest, preprocess, batch_size):
        done, todo, part = done + part * len(batch), cells[part:], 0
        for name, severity in todo:
            inputs = _inputs(batch, preprocess, name, severity, seed)
            answers = [_answers(session, inputs, batch) for session in sessions]
            take(name, severity, *answers)
            kept.add([name, severity, *answers])
            done += len(batch)
            progress(Progress("corrupt", done, total, note=name))
    scores = tuple(
        CorruptedScore(name, severity, "".join(a), "".join(b))
        for (name, severity), (a, b) in right.items()
    )
    return Robustness(seed, preprocess.height, preprocess.width, scores)


def _answers(session: Session, inputs: NDArray[np.float32], batch: _Batch) -> str:
    """Return "1" for each picture that is called what it is, else "0"."""
    labels = np.array([image.label for image, _ in batch])
    # argmax takes the first of equal logits, as Prediction.right does
    hit = infer(session, inputs, [image for image, _ in batch]).argmax(axis=1) == labels
    return "".join("01"[int(each)] for each in hit)


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
