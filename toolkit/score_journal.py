"""Keep the predictions of a score as they are made, so that a stopped one goes on where it was.

JSON lines: first what is scored, by digest, then one line a batch. A last line without its end is
what a killed run was writing, and is scored again.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict
from pathlib import Path
from typing import Any

from toolkit.artifacts import digest_of_file
from toolkit.atomic import write_text
from toolkit.errors import InputError, MachineError
from toolkit.field_types import check_types
from toolkit.predictions import IdentifiedImage, Prediction
from toolkit.runtime import Session
from toolkit.shell import quoted

__all__ = ["Journal", "open_journal"]

_KIND = "edgekit score journal"
_VERSION = 1


class Journal:
    """`predictions` are those of earlier runs; `add` writes those of one more batch."""

    def __init__(self, predictions: Sequence[Prediction], handle: int, name: str) -> None:
        self.predictions = tuple(predictions)
        self._handle = handle
        self._name = name

    def add(self, predictions: Sequence[Prediction]) -> None:
        """Write one line. Raises MachineError when it cannot be written."""
        if self._handle < 0:
            return
        content = _line([asdict(prediction) for prediction in predictions])
        try:
            while content:
                content = content[os.write(self._handle, content) :]
        except OSError as error:
            raise _machine_error(self._name, error) from error


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
    if path is None:
        yield Journal((), -1, "")
        return
    key = _key(model, session, images, batch_size=batch_size)
    kept = _read(path, key)
    _check_images(path, kept, images)
    # Written anew, whole batches only, so that what follows starts on a line of its own.
    lines = [_line(key), *(_line([asdict(each) for each in batch]) for batch in kept)]
    write_text(path, b"".join(lines).decode())
    try:
        handle = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CLOEXEC)
    except OSError as error:
        raise _machine_error(str(path), error) from error
    try:
        yield Journal([each for batch in kept for each in batch], handle, str(path))
    finally:
        os.close(handle)
    with suppress(FileNotFoundError):
        path.unlink()


def _key(
    model: Path, session: Session, images: Sequence[IdentifiedImage], *, batch_size: int
) -> dict[str, Any]:
    """Return what must be equal for predictions to be the same."""
    listed = "\n".join(f"{image.digest} {image.label} {image.name}" for image in images)
    return {
        "kind": _KIND,
        "version": _VERSION,
        "model": digest_of_file(model),
        "backend": session.backend,
        "images": hashlib.sha256(listed.encode("utf-8", "surrogateescape")).hexdigest(),
        "batch_size": batch_size,
    }


def _read(path: Path, key: dict[str, Any]) -> list[list[Prediction]]:
    """Return the batches that were written to the end; none where there is no journal yet."""
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        return []
    except (OSError, UnicodeDecodeError) as error:
        raise _damaged(path, str(error)) from error
    first, *rest = text.split("\n")[:-1] or [""]  # what follows the last line end was cut off
    try:
        found = json.loads(first)
        if not isinstance(found, dict) or found.get("kind") != _KIND:
            raise _damaged(path, "it is no journal of a score")
        if found.get("version", 0) > _VERSION:
            raise InputError(
                f"{path} was written by a newer Edgekit (version {found['version']}).",
                next_command="pip install --upgrade edgekit",
            )
        batches = [[_prediction(each) for each in json.loads(line)] for line in rest]
    except (ValueError, TypeError, KeyError) as error:
        raise _damaged(path, f"{type(error).__name__}: {error}") from error
    different = [name for name, value in key.items() if found.get(name) != value]
    if different:
        raise InputError(
            f"{path} was begun for something else: {', '.join(different)} differ.",
            next_command=f"rm {quoted(path)}   (or name another journal)",
        )
    return batches


def _prediction(values: dict[str, Any]) -> Prediction:
    check_types(Prediction, values)
    return Prediction(**values)


def _check_images(
    path: Path, kept: Sequence[Sequence[Prediction]], images: Sequence[IdentifiedImage]
) -> None:
    seen = [(each.image, each.path, each.label) for batch in kept for each in batch]
    wanted = [(image.digest, image.name, image.label) for image in images[: len(seen)]]
    if seen != wanted:
        raise _damaged(path, "its images are not those that are scored")


def _line(values: Any) -> bytes:
    return (json.dumps(values, allow_nan=False) + "\n").encode()


def _damaged(path: Path, what: str) -> InputError:
    return InputError(
        f"{path} is damaged or was edited ({what}).", next_command=f"rm {quoted(path)}"
    )


def _machine_error(name: str, error: OSError) -> MachineError:
    return MachineError(
        f"The journal {name} cannot be written: {error.strerror or error}.",
        next_command=f"df -h {quoted(Path(name).parent)}",
    )
