"""What a training run did, epoch by epoch, as a file beside its checkpoint."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from toolkit.record_file import damaged, read_record, write_record

__all__ = ["Epoch", "TrainingFiles", "TrainingHistory", "best_of", "files_beside", "read_history"]

_VERSION = 1
_REMAKE = "edgekit train DATA"


@dataclass(frozen=True)
class Epoch:
    """One pass over the training pictures; accuracies and top-1 are shares of 1.

    `train_loss` and `train_accuracy` are those of the distorted pictures, while learning.
    `data_seconds` went into waiting for training pictures and distorting them, `step_seconds`
    into learning from them. A resumed epoch has the seconds of its last part only.
    """

    train_loss: float
    train_accuracy: float
    val_loss: float
    val_top1: float
    data_seconds: float
    step_seconds: float

    def line(self) -> str:
        """Return the figures that stand beside the progress bar."""
        return (
            f"loss {self.train_loss:.3f}, accuracy {self.train_accuracy:.1%}; "
            f"validation loss {self.val_loss:.3f}, top-1 {self.val_top1:.2%}"
        )


@dataclass(frozen=True)
class TrainingHistory:
    """All epochs of a run; `confusion` holds (label, predicted, pictures) of the saved weights.

    `best` is the epoch, counted from 0, whose weights were saved.
    """

    arch: str
    classes: tuple[str, ...]
    options: dict[str, Any]
    epochs: tuple[Epoch, ...]
    best: int
    top1: float
    confusion: tuple[tuple[int, int, int], ...]

    def write(self, path: Path) -> None:
        """Write it to `path` atomically, as JSON."""
        write_record(path, asdict(self), kind="training", version=_VERSION)


def best_of(epochs: tuple[Epoch, ...], *, least_top1: float = 0.0) -> int:
    """Return the number, from 0, of the first epoch with the lowest validation loss.

    Epochs under `least_top1` count only where all are under it.
    """
    offered = [epoch for epoch in epochs if epoch.val_top1 >= least_top1] or epochs
    return epochs.index(min(offered, key=lambda epoch: epoch.val_loss))


@dataclass(frozen=True)
class TrainingFiles:
    """What lies beside a checkpoint: the history, its picture, and what `--resume` reads."""

    history: Path
    curves: Path
    resume: Path


def files_beside(checkpoint: Path) -> TrainingFiles:
    """Return the names of the files that belong to `checkpoint`."""
    return TrainingFiles(
        checkpoint.with_suffix(".training.json"),
        checkpoint.with_suffix(".training.svg"),
        checkpoint.with_suffix(".resume.pt"),
    )


def read_history(path: Path) -> TrainingHistory:
    """Return what `TrainingHistory.write` wrote. Raises InputError for any other file."""
    values = read_record(path, kind="training", version=_VERSION, remake=_REMAKE)
    try:
        return TrainingHistory(
            arch=str(values["arch"]),
            classes=tuple(values["classes"]),
            options=dict(values["options"]),
            epochs=tuple(Epoch(**each) for each in values["epochs"]),
            best=int(values["best"]),
            top1=float(values["top1"]),
            confusion=tuple((int(a), int(b), int(n)) for a, b, n in values["confusion"]),
        )
    except (KeyError, TypeError, ValueError) as error:
        raise damaged(path, str(error), remake=_REMAKE) from error
