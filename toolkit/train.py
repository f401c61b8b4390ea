"""`edgekit train`: a folder of labelled pictures in, a checkpoint out.

    torchrun --nproc-per-node 2 -m toolkit.train DATA --out model.pt

runs the same command in several processes, which share every batch.
"""

from __future__ import annotations

import os
import sys
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from toolkit.artifacts import Checkpoint, digest_of_file
from toolkit.atomic import check_writable, write_text
from toolkit.lazy import load
from toolkit.networks import INSTALL_TRAIN, learning_rate_of, preprocess_of
from toolkit.preprocess import Preprocess
from toolkit.progress import ProgressCallback, silent
from toolkit.training.curves import svg_from_history
from toolkit.training.history import files_beside
from toolkit.training.options import TrainingOptions, check_options
from toolkit.training.pictures import Pictures, open_pictures, open_splits

__all__ = ["main", "train"]


def train(
    data: Path,
    *,
    out: Path,
    arch: str = "signs-cnn",
    weights: str = "",
    epochs: int = 10,
    batch_size: int = 32,
    learning_rate: float | None = None,
    warmup: float = 0.1,
    augment: str = "mild",
    label_smoothing: float = 0.0,
    class_weights: str = "none",
    patience: int = 0,
    amp: bool = False,
    seed: int = 0,
    threads: int = 0,
    checkpoint_minutes: float = 5.0,
    resume: bool = False,
    progress: ProgressCallback = silent,
) -> Checkpoint:
    """Train `arch` on `data`/train/CLASS, score it on `data`/val/CLASS, write `out` when done.

    The options are those of `TrainingOptions`; `learning_rate` = None is the network's own. Beside
    `out` the history, its curves and, until the run is done, its position are written (see
    `files_beside`); `resume` goes on from that position, to the same bits. `out` is replaced only
    at the end. Raises InputError and its kinds for data or options that cannot work, MachineError
    when memory runs out.
    """
    rate = learning_rate_of(arch, pretrained=bool(weights))
    options = TrainingOptions(
        epochs=epochs,
        batch_size=batch_size,
        learning_rate=rate if learning_rate is None else learning_rate,
        warmup=warmup,
        augment=augment,
        label_smoothing=label_smoothing,
        class_weights=class_weights,
        patience=patience,
        amp=amp,
        seed=seed,
        threads=threads,
    )
    check_options(options)
    check_writable(out)
    files = files_beside(out)
    with ExitStack() as stack:
        workers = stack.enter_context(_loaded("toolkit.training.workers:open_workers")())
        shown = progress if workers.leads else silent
        classes, train_pictures, val_pictures = _pictures(
            data, _preprocess(arch, weights), threads=threads, progress=shown
        )
        trained, history = _loaded("toolkit.training.fit:train_network")(
            arch,
            classes,
            train_pictures,
            val_pictures,
            options=options,
            weights=weights,
            position=files.resume,
            minutes=checkpoint_minutes,
            resume=resume,
            workers=workers,
            progress=shown,
        )
        digest = ""
        if workers.leads:
            history.write(files.history)
            write_text(files.curves, svg_from_history(history))
            _loaded("toolkit.checkpoint:save_trained")(out, trained)
            files.resume.unlink(missing_ok=True)
            digest = digest_of_file(out)
        digest = workers.from_leader(digest)
    return Checkpoint(out, digest, arch, trained.top1, epochs=trained.epochs)


def _loaded(row: str) -> Any:
    return load(row, what="Training", install=INSTALL_TRAIN)


def _preprocess(arch: str, weights: str) -> Preprocess:
    """Return the preprocessing of the weights that training starts from, else the network's."""
    if weights:
        stated: Preprocess | None = _loaded("toolkit.training.start:preprocess_of_start")(
            arch, weights
        )
        if stated is not None:
            return stated
    return preprocess_of(arch)


def _pictures(
    data: Path, preprocess: Preprocess, *, threads: int, progress: ProgressCallback
) -> tuple[tuple[str, ...], Pictures, Pictures]:
    train_folder, val_folder = open_splits(data)
    opened = [
        open_pictures(folder, preprocess, step=step, threads=threads, progress=progress)
        for folder, step in (
            (train_folder, "read training pictures"),
            (val_folder, "read validation pictures"),
        )
    ]
    return train_folder.classes, opened[0], opened[1]


def main() -> None:
    """Run `edgekit train` with this process's arguments; only the first worker prints."""
    from toolkit.cli import main as edgekit

    if os.environ.get("RANK", "0") != "0":
        sys.stdout = open(os.devnull, "w")  # noqa: PTH123, SIM115 - kept to the end
    sys.argv[1:1] = ["train"]
    edgekit()


if __name__ == "__main__":
    main()
