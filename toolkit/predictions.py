"""Run a session over labelled images: who they are, the logits in order, what each one was called.

Everything that scores or compares goes through here, so that all of it refuses the same things.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from toolkit.contract import UNCALIBRATED, Contract
from toolkit.datasets.folder import ImageFolder, LabelledImage, open_folder, select
from toolkit.errors import InputError, LeakageError, ModelError
from toolkit.images import image_digest
from toolkit.progress import Progress, ProgressCallback
from toolkit.runtime import Session
from toolkit.runtime.session import GivesMaps, Mapped
from toolkit.shell import quoted
from toolkit.top_k import confidences

__all__ = [
    "IdentifiedImage",
    "ImagesToScore",
    "Prediction",
    "batch_size_for",
    "calibration_note",
    "check_not_calibrated_on",
    "images_to_score",
    "infer",
    "infer_with_maps",
    "predictions_from_logits",
]

_BATCH = 8
_SUBSET_SEED = 0  # --limit takes the same images in every run, so that runs can be paired


@dataclass(frozen=True)
class IdentifiedImage:
    """An image to score; `digest` is the first 16 hex digits of its file's SHA-256."""

    path: Path
    name: str
    """Its path inside the folder of images, with forward slashes."""
    label: int
    digest: str


@dataclass(frozen=True)
class ImagesToScore:
    """The images, and what a reader of the result should know about them."""

    images: tuple[IdentifiedImage, ...]
    notes: tuple[str, ...]


@dataclass(frozen=True)
class Prediction:
    """What one model said about one image. `label` and `predicted` index the model's labels."""

    image: str
    """The image's digest: the same image has the same one in every run."""
    path: str
    label: int
    predicted: int
    confidence: float
    """The softmax of the predicted class."""
    rank: int
    """How many classes the model ranks above the right one; 0 is right."""
    logits: str
    """The first 16 hex digits of the SHA-256 of the float32 logits."""

    @property
    def right(self) -> bool:
        """Tell whether the predicted class is the right one."""
        return self.rank == 0


def images_to_score(
    root: Path, contract: Contract, *, limit: int | None, progress: ProgressCallback
) -> ImagesToScore:
    """Return the images under `root` with their digests; with `limit`, evenly over the classes.

    Raises InputError and LabelsError as `open_folder` does.
    """
    folder = open_folder(root, contract=contract)
    chosen: Sequence[LabelledImage] = folder.images
    if limit is not None:
        picked = set(select(folder, limit, seed=_SUBSET_SEED))
        chosen = [image for image in folder.images if image in picked]
    identified = []
    for done, image in enumerate(chosen):
        if done % 64 == 0:
            progress(Progress("identify images", done, len(chosen)))
        name = image.path.relative_to(root).as_posix()
        identified.append(IdentifiedImage(image.path, name, image.label, image_digest(image.path)))
    return ImagesToScore(tuple(identified), _notes(folder, identified))


def _notes(folder: ImageFolder, images: Sequence[IdentifiedImage]) -> tuple[str, ...]:
    notes = []
    if folder.ignored:
        notes.append(f"{folder.ignored} files in {folder.root} are no pictures: ignored")
    repeated = sum(count - 1 for count in Counter(image.digest for image in images).values())
    if repeated:
        notes.append(f"{repeated} images are copies of others: the intervals are too narrow")
    return tuple(notes)


def check_not_calibrated_on(
    images: Sequence[IdentifiedImage], contract: Contract, *, model: Path
) -> None:
    """Raise LeakageError when an image was calibrated on, and so says nothing about new images."""
    calibrated_on = frozenset(contract.calibration_images)
    seen = [image.name for image in images if image.digest in calibrated_on]
    if seen:
        raise LeakageError(
            f"{len(seen)} of {len(images)} images to score were also used to calibrate "
            f"{model.name} ({seen[0]} is one): its accuracy on them says nothing about new images.",
            next_command=f"edgekit score {quoted(model)} --images OTHER_DIR",
        )


def batch_size_for(contract: Contract, asked: int, *, engine_name: str) -> int:
    """Return the batch size: what the engine is fixed to, else what was asked for (0: ours)."""
    fixed = contract.input_shape[0]
    if asked < 0 or (fixed and asked not in (0, fixed)):
        takes = f"batches of {fixed} images" if fixed else "at least one image"
        raise InputError(
            f"{engine_name} takes {takes}, not {asked}.",
            next_command=f"edgekit score {quoted(engine_name)} --images DIR",
        )
    return fixed or asked or _BATCH


def infer(
    session: Session, batch: NDArray[np.float32], images: Sequence[IdentifiedImage]
) -> NDArray[np.float32]:
    """Return the logits (n, classes) of the `n` images in `batch`.

    A batch that is too short for an engine of fixed batch size is filled up with its last image.
    Raises ModelError when the logits are not finite or not one per label.
    """
    return _checked(session, session.infer(_filled(session, batch))[: len(batch)], images)


def infer_with_maps(
    session: GivesMaps, batch: NDArray[np.float32], images: Sequence[IdentifiedImage]
) -> Mapped:
    """Return what `infer` does, with the class activation maps (n, height, width)."""
    found = session.infer_with_map(_filled(session, batch))
    return Mapped(_checked(session, found.logits[: len(batch)], images), found.maps[: len(batch)])


def _filled(session: Session, batch: NDArray[np.float32]) -> NDArray[np.float32]:
    missing = max(0, session.contract.input_shape[0] - len(batch))
    return np.concatenate([batch, np.repeat(batch[-1:], missing, axis=0)]) if missing else batch


def _checked(
    session: Session, logits: NDArray[np.float32], images: Sequence[IdentifiedImage]
) -> NDArray[np.float32]:
    classes = len(session.contract.labels)
    if logits.shape != (len(images), classes):
        raise ModelError(
            f"{session.engine_name} answers {len(images)} images with logits of shape "
            f"{logits.shape}, but its contract names {classes} classes.",
            next_command=f"edgekit inspect {quoted(session.engine_name)} --json",
        )
    finite = np.isfinite(logits).all(axis=1)
    if not finite.all():
        worst = images[int(np.argmin(finite))]
        raise ModelError(
            f"{session.engine_name} answers {worst.name} with logits that are NaN or infinite: "
            "its precision overflows, or its weights are damaged.",
            next_command=f"edgekit inspect {quoted(session.engine_name)} --json",
        )
    return logits


def predictions_from_logits(
    logits: NDArray[np.float32], images: Sequence[IdentifiedImage]
) -> Iterator[Prediction]:
    """Yield what the logits (n, classes) say about the `n` images.

    Among equal logits the lower class index wins, as it does in `argmax`.
    """
    for row, image in zip(logits, images, strict=True):
        predicted = int(np.argmax(row))
        right = row[image.label]
        above = int(np.count_nonzero(row > right))
        equal_before = int(np.count_nonzero(row[: image.label] == right))
        yield Prediction(
            image=image.digest,
            path=image.name,
            label=image.label,
            predicted=predicted,
            confidence=float(confidences(row)[predicted]),
            rank=above + equal_before,
            logits=hashlib.sha256(row.astype("<f4").tobytes()).hexdigest()[:16],
        )


def calibration_note(contract: Contract) -> str:
    """Return what must be said of a model whose INT8 ranges come from random data, or ""."""
    if contract.calibration == UNCALIBRATED:
        return "UNCALIBRATED: its INT8 ranges come from random data, not from images"
    return ""
