"""`edgekit score`: a model or engine and labelled images in, top-1 and top-5 out."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from toolkit.accuracy import Accuracy
from toolkit.artifacts import digest_of_file
from toolkit.datasets.folder import LabelledImage, batches
from toolkit.predictions import (
    IdentifiedImage,
    Prediction,
    batch_size_for,
    calibration_note,
    check_not_calibrated_on,
    images_to_score,
    infer,
    predictions_from_logits,
)
from toolkit.progress import Progress, ProgressCallback, silent
from toolkit.runtime import Session, open_session
from toolkit.score_journal import open_journal

__all__ = ["accuracy_of", "score"]


def score(
    model: Path,
    *,
    images: Path,
    threads: int = 0,
    batch_size: int = 0,
    limit: int | None = None,
    backend: str = "auto",
    journal: Path | None = None,
    progress: ProgressCallback = silent,
) -> Accuracy:
    """Return the accuracy of a model or engine on `images`, DIR/CLASS/*.jpg.

    `batch_size` 0 takes the engine's own, or 8. `limit` scores that many images, spread evenly
    over the classes and the same ones every time. Pictures are decoded while others are inferred.
    With a `journal`, each batch is written down as it is scored: called again after a stop, it goes
    on from there with the same result, and at the end removes the file.
    Raises LeakageError for images that the model was calibrated on, ModelError for logits that are
    not finite, and what `open_session` and `open_folder` raise.
    """
    with open_session(model, threads=threads, backend=backend) as session:
        contract = session.contract
        size = batch_size_for(contract, batch_size, engine_name=session.engine_name)
        chosen = images_to_score(images, contract, limit=limit, progress=progress)
        check_not_calibrated_on(chosen.images, contract, model=model)
        with open_journal(journal, model, session, chosen.images, batch_size=size) as kept:
            predictions = list(kept.predictions)
            for each in _scored(session, chosen.images[len(predictions) :], size=size):
                kept.add(each)
                predictions.extend(each)
                right = sum(prediction.right for prediction in predictions)
                note = f"top-1 {100.0 * right / len(predictions):.1f} %"
                progress(Progress("score", len(predictions), len(chosen.images), note))
        found = accuracy_of(model, session, predictions, images=images, batch_size=size)
        return replace(found, notes=(*found.notes, *chosen.notes))


def _scored(
    session: Session, images: Sequence[IdentifiedImage], *, size: int
) -> Iterator[list[Prediction]]:
    """Yield the predictions of each batch of `size` images."""
    labelled = [LabelledImage(image.path, image.label) for image in images]
    done = 0
    for batch, _ in batches(labelled, session.contract.preprocess, batch_size=size):
        of_batch = images[done : done + len(batch)]
        done += len(batch)
        yield list(predictions_from_logits(infer(session, batch, of_batch), of_batch))


def accuracy_of(
    model: Path,
    session: Session,
    predictions: Sequence[Prediction],
    *,
    images: Path,
    batch_size: int,
) -> Accuracy:
    """Return `predictions` of an open `session` with what says where they come from."""
    contract = session.contract
    return Accuracy(
        model=str(model),
        digest=digest_of_file(model),
        backend=session.backend,
        precision=contract.precision,
        images=str(images),
        batch_size=batch_size,
        labels=contract.labels,
        ids=contract.ids,
        predictions=tuple(predictions),
        notes=tuple(note for note in (session.note, calibration_note(contract)) if note),
    )
