"""What a search measures, each thing once: from then on it is read from the journal."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from pathlib import Path

import toolkit
from toolkit.artifacts import digest_of_file
from toolkit.datasets.folder import LabelledImage, batches
from toolkit.errors import InputError
from toolkit.predictions import IdentifiedImage, batch_size_for, infer, predictions_from_logits
from toolkit.progress import Progress, ProgressCallback
from toolkit.record_file import damaged
from toolkit.runtime import open_session
from toolkit.shell import quoted
from toolkit.statistics.budgets import PairedDrop
from toolkit.tune.journal import Journal
from toolkit.tune.split import ImageSet

__all__ = ["Evaluator", "paired"]


class Evaluator:
    """Runs models over sets of images and counts what that took.

    `images_run` counts the inferences of this run, `images_recalled` those of the journal.
    """

    def __init__(self, journal: Journal, *, threads: int, progress: ProgressCallback) -> None:
        self._journal = journal
        self._threads = threads
        self._progress = progress
        self.images_run = 0
        self.images_recalled = 0

    def right(self, model: Path, images: ImageSet, *, step: str) -> str:
        """Return a "1" for every image that `model` gets right and a "0" for every other one."""
        key = ("right", toolkit.__version__, digest_of_file(model), images.digest)
        known = self._journal.find(*key)
        if known is not None:
            self.images_recalled += len(images.images)
            return self._checked(known, len(images.images))
        found = "".join(self._run(model, images.images, step))
        self.images_run += len(found)
        self._journal.record(found, *key)
        return found

    def ranking(
        self,
        errors: Callable[[], dict[str, float]],
        table: str,
        *,
        layers: Collection[str],
        images: int,
    ) -> dict[str, float]:
        """Return `errors()`, the layers ranked on so many images under the table of this digest."""
        key = ("ranking", toolkit.__version__, table, str(images))
        known = self._journal.find(*key)
        if known is None:
            found = errors()
            self.images_run += images * len(layers)
            self._journal.record(found, *key)
            return found
        if not isinstance(known, dict) or set(known) != set(layers):
            raise self._damaged(f"a ranking of {len(layers)} layers")
        self.images_recalled += images * len(layers)
        return {name: float(error) for name, error in known.items()}

    def _run(self, model: Path, images: Sequence[IdentifiedImage], step: str) -> list[str]:
        found: list[str] = []
        labelled = [LabelledImage(image.path, image.label) for image in images]
        with open_session(model, threads=self._threads) as session:
            size = batch_size_for(session.contract, 0, engine_name=session.engine_name)
            for batch, _ in batches(labelled, session.contract.preprocess, batch_size=size):
                of_batch = images[len(found) : len(found) + len(batch)]
                answers = predictions_from_logits(infer(session, batch, of_batch), of_batch)
                found += ["1" if answer.right else "0" for answer in answers]
                self._progress(Progress(step, len(found), len(images)))
        return found

    def _checked(self, known: object, count: int) -> str:
        if isinstance(known, str) and len(known) == count and not known.strip("01"):
            return known
        raise self._damaged(f"an evaluation of {count} images")

    def _damaged(self, what: str) -> InputError:
        path = self._journal.path
        return damaged(path, what, remake=f"rm {quoted(path)}")


def paired(reference: str, other: str) -> PairedDrop:
    """Return the paired drop from two answers of `Evaluator.right` on the same images."""
    pairs = list(zip(reference, other, strict=True))
    return PairedDrop(pairs.count(("1", "0")), pairs.count(("0", "1")), len(pairs))
