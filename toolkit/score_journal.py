"""Keep the predictions of a score as they are made: a line of `line_journal` for each batch."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

from toolkit.artifacts import digest_of_file
from toolkit.field_types import check_types
from toolkit.line_journal import LineJournal, digest_of_images, open_lines
from toolkit.predictions import IdentifiedImage, Prediction
from toolkit.runtime import Session

__all__ = ["Journal", "open_journal"]

_VERSION = 1


class Journal:
    """`predictions` are those of earlier runs; `add` writes those of one more batch."""

    def __init__(self, lines: LineJournal) -> None:
        self.predictions = tuple(_predictions(lines.lines))
        self._lines = lines

    def add(self, predictions: Sequence[Prediction]) -> None:
        """Write one line. Raises MachineError when it cannot be written."""
        self._lines.add([asdict(prediction) for prediction in predictions])


@contextmanager
def open_journal(
    path: Path | None,
    model: Path,
    session: Session,
    images: Sequence[IdentifiedImage],
    *,
    batch_size: int,
) -> Iterator[Journal]:
    """Yield the journal of this model on these images; without a `path`, one that keeps nothing.

    The file is removed when the block ends without an error. Raises InputError for a journal of
    something else, damaged or from a newer Edgekit, MachineError when it cannot be written.
    """

    def check(lines: Sequence[Any]) -> None:
        seen = [(each.image, each.path, each.label) for each in _predictions(lines)]
        wanted = [(image.digest, image.name, image.label) for image in images[: len(seen)]]
        if seen != wanted:
            raise ValueError("its images are not those that are scored")

    key = {} if path is None else _key(model, session, images, batch_size=batch_size)
    with open_lines(path, key, version=_VERSION, of="a score", check=check) as lines:
        yield Journal(lines)


def _key(
    model: Path, session: Session, images: Sequence[IdentifiedImage], *, batch_size: int
) -> dict[str, Any]:
    """Return what must be equal for predictions to be the same."""
    return {
        "model": digest_of_file(model),
        "backend": session.backend,
        "images": digest_of_images(images),
        "batch_size": batch_size,
    }


def _predictions(lines: Sequence[Any]) -> list[Prediction]:
    return [_prediction(each) for line in lines for each in line]


def _prediction(values: dict[str, Any]) -> Prediction:
    check_types(Prediction, values)
    return Prediction(**values)
