"""`edgekit train`: a folder of labelled pictures in, a checkpoint out."""

from __future__ import annotations

from pathlib import Path

from toolkit.artifacts import Checkpoint, digest_of_file
from toolkit.atomic import check_writable
from toolkit.errors import InputError
from toolkit.lazy import load
from toolkit.networks import INSTALL_TRAIN, preprocess_of
from toolkit.progress import ProgressCallback, silent
from toolkit.training_pictures import open_pictures, open_splits

__all__ = ["train"]


def train(
    data: Path,
    *,
    out: Path,
    arch: str = "signs-cnn",
    epochs: int = 10,
    batch_size: int = 32,
    learning_rate: float = 4e-3,
    seed: int = 0,
    threads: int = 0,
    progress: ProgressCallback = silent,
) -> Checkpoint:
    """Train `arch` on `data`/train/CLASS, score it on `data`/val/CLASS, write `out` when done.

    `learning_rate` is the peak of the cycle; `threads` = 0 leaves PyTorch its choice. `out` is
    replaced only at the end: a stopped run leaves the old file. Raises InputError and its kinds
    for data or options that cannot work, MachineError when memory runs out.
    """
    _check_options(epochs=epochs, batch_size=batch_size, learning_rate=learning_rate)
    check_writable(out)
    train_network = load(
        "toolkit.training_loop:train_network", what="Training", install=INSTALL_TRAIN
    )
    save_trained = load("toolkit.checkpoint:save_trained", what="Training", install=INSTALL_TRAIN)
    train_folder, val_folder = open_splits(data)
    preprocess = preprocess_of(arch)
    train_pictures, val_pictures = (
        open_pictures(folder, preprocess, step=step, threads=threads, progress=progress)
        for folder, step in (
            (train_folder, "read training pictures"),
            (val_folder, "read validation pictures"),
        )
    )
    trained = train_network(
        arch,
        train_folder.classes,
        train_pictures,
        val_pictures,
        epochs=epochs,
        batch_size=batch_size,
        learning_rate=learning_rate,
        seed=seed,
        threads=threads,
        progress=progress,
    )
    save_trained(out, trained)
    return Checkpoint(path=out, digest=digest_of_file(out), arch=arch, top1=trained.top1)


def _check_options(*, epochs: int, batch_size: int, learning_rate: float) -> None:
    if epochs < 1 or batch_size < 1 or not 0 < learning_rate < 10:
        raise InputError(
            f"Training needs at least one epoch, pictures in a batch and a positive learning rate, "
            f"got {epochs}, {batch_size} and {learning_rate}.",
            next_command="edgekit train --help",
        )
