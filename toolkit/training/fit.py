"""From pictures and options to a trained network with its history."""

from __future__ import annotations

from pathlib import Path

import torch

from toolkit.checkpoint import Trained
from toolkit.errors import InputError
from toolkit.networks import build_network
from toolkit.progress import ProgressCallback, silent
from toolkit.training.evaluate import evaluate
from toolkit.training.guards import check_amp, memory_errors, seeded
from toolkit.training.history import TrainingHistory, best_of
from toolkit.training.loop import Task, train_epochs
from toolkit.training.options import TrainingOptions, check_options
from toolkit.training.pictures import Pictures
from toolkit.training.resume import Keeper, recipe_of
from toolkit.training.start import load_start
from toolkit.training.workers import Workers, lone_worker

__all__ = ["train_network"]


def train_network(
    arch: str,
    classes: tuple[str, ...],
    train: Pictures,
    val: Pictures,
    *,
    options: TrainingOptions,
    weights: str = "",
    position: Path | None = None,
    minutes: float = 5.0,
    resume: bool = False,
    workers: Workers | None = None,
    progress: ProgressCallback = silent,
) -> tuple[Trained, TrainingHistory]:
    """Return a network of kind `arch` trained on `train` and scored on `val`, and how it went.

    `weights` to start from, as `load_start` takes them; "" for random ones. Where the run stands is
    written to `position` after each epoch and every `minutes`, and read there to `resume` it.
    Raises InputError when the loss diverges or the run to resume was another one, MachineError
    when memory runs out.
    """
    here = workers or lone_worker()
    check_options(options)
    if options.amp:
        check_amp(here)
    task = Task(train, val, len(classes), options, here, progress if here.leads else silent)
    _check_share(task)
    with seeded(options.seed, options.threads, here), memory_errors(options.batch_size):
        network = build_network(arch, len(classes))
        if weights:
            load_start(network, arch, weights, classes=len(classes))
        network = network.to(here.device)
        network.to(memory_format=torch.channels_last)  # faster on CPUs, and on tensor cores
        keeper = Keeper(
            position if here.leads else None,
            recipe_of(arch, weights, options, train, val),
            minutes=minutes,
            resume=resume,
        )
        epochs = train_epochs(network, task, keeper)
        final = evaluate(network, val, len(classes), here)
    best = best_of(epochs) if options.patience else len(epochs) - 1
    history = TrainingHistory(
        arch, classes, options.to_dict(), epochs, best, final.top1, final.counts()
    )
    trained = Trained(
        arch=arch,
        classes=classes,
        preprocess=train.preprocess,
        state=network.state_dict(),
        top1=final.top1,
        epochs=len(epochs),
        seed=options.seed,
    )
    return trained, history


def _check_share(task: Task) -> None:
    """Raise InputError where a worker would get no picture of a batch."""
    least, workers = min(len(batch) for batch in task.epoch_batches(0)), task.workers.count
    if least < workers:
        raise InputError(
            f"{workers} workers cannot share a batch of {least} pictures: each needs at least one.",
            next_command=f"torchrun -m toolkit.train DATA --batch-size {8 * workers}",
        )
