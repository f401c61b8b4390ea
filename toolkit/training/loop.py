"""The training loop: Adam, cross-entropy, a learning rate that rises and falls.

Equal pictures, options, threads and workers give equal weights on a CPU, also when the run was
killed in between and resumed.
"""

from __future__ import annotations

import time
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from toolkit.lazy import load
from toolkit.networks import INSTALL_TRAIN
from toolkit.progress import Progress, ProgressCallback
from toolkit.training.augment import Augment
from toolkit.training.evaluate import evaluate, network_input
from toolkit.training.guards import check_learning, seed_of
from toolkit.training.history import Epoch, best_of
from toolkit.training.options import AUGMENTATIONS, TrainingOptions
from toolkit.training.pictures import Pictures, batches_of
from toolkit.training.resume import Keeper, Position
from toolkit.training.schedule import learning_rate_at
from toolkit.training.workers import Workers

__all__ = ["Task", "train_epochs"]


@dataclass(frozen=True)
class Task:
    """What is learned from, how, and by whom.

    With a `teacher` its answers are learned as well as the labels. Weights of an epoch whose
    validation top-1 is under `least_top1` are kept only where all epochs are.
    """

    train: Pictures
    val: Pictures
    classes: int
    options: TrainingOptions
    workers: Workers
    progress: ProgressCallback
    teacher: nn.Module | None = None
    least_top1: float = 0.0

    @property
    def batches(self) -> int:
        """Return the number of steps in an epoch."""
        return len(self.epoch_batches(0))

    def epoch_batches(self, epoch: int) -> list[NDArray[np.int64]]:
        """Return the picture numbers of every batch of `epoch`, in an order of its own."""
        order = np.random.default_rng([self.options.seed, epoch]).permutation(self.train.count)
        return batches_of(order, self.options.batch_size)


@dataclass
class _Learner:
    """The network and all that changes with it: what a `Position` is a copy of."""

    network: nn.Module
    optimizer: torch.optim.Optimizer
    scaler: torch.amp.GradScaler
    step: int = 0
    sums: tuple[float, float, float] = (0.0, 0.0, 0.0)
    epochs: tuple[Epoch, ...] = ()
    best: dict[str, Tensor] | None = None

    def position(self) -> Position:
        return Position(
            step=self.step,
            network=self.network.state_dict(),
            optimizer=self.optimizer.state_dict(),
            scaler=self.scaler.state_dict(),
            sums=self.sums,
            epochs=self.epochs,
            best=self.best or {},
        )

    def go_to(self, position: Position) -> None:
        self.network.load_state_dict(dict(position.network))
        self.optimizer.load_state_dict(dict(position.optimizer))
        self.scaler.load_state_dict(dict(position.scaler))
        self.step, self.sums, self.epochs = position.step, position.sums, position.epochs
        self.best = dict(position.best) or None


def train_epochs(network: nn.Module, task: Task, keeper: Keeper) -> tuple[Epoch, ...]:
    """Train `network` in place, from where `keeper` knows the run to be, and return its epochs.

    Where the run may end early (`patience`), the weights are those of the best epoch.
    """
    options, workers = task.options, task.workers
    half = task.options.amp and not torch.cuda.is_bf16_supported()
    learner = _Learner(
        network,
        torch.optim.Adam(network.parameters(), lr=options.learning_rate),
        torch.amp.GradScaler(workers.device.type, enabled=half),  # bf16 reaches as far as float
    )
    position = workers.from_leader(keeper.position())
    if position is not None:
        learner.go_to(position)
    wrapped = workers.wrapped(network)
    while len(learner.epochs) < options.epochs and not _is_over(learner.epochs, task):
        seconds = _train_epoch(wrapped, learner, task, keeper)
        _close_epoch(learner, task, seconds)
        keeper.keep(learner.position)
    if learner.best is not None:
        network.load_state_dict(learner.best)
    return learner.epochs


def _is_over(epochs: tuple[Epoch, ...], task: Task) -> bool:
    patience = task.options.patience
    if not patience or not epochs:
        return False
    return len(epochs) - 1 - best_of(epochs, least_top1=task.least_top1) >= patience


def _train_epoch(
    wrapped: nn.Module, learner: _Learner, task: Task, keeper: Keeper
) -> tuple[float, float]:
    """Take the steps that are left of the epoch; return the seconds for data and for learning."""
    options, epoch = task.options, len(learner.epochs)
    batches = task.epoch_batches(epoch)
    total = options.epochs * len(batches)
    first = learner.step - epoch * len(batches)
    shares = [task.workers.share(batch) for batch in batches[first:]]
    augment: Augment = load(
        AUGMENTATIONS[options.augment], what="This augmentation", install=INSTALL_TRAIN
    )
    class_weights = _class_weights(task)
    data_s, started = 0.0, time.perf_counter()
    pixels = task.train.read(shares)
    wrapped.train()
    for batch, share in zip(batches[first:], shares, strict=True):
        asked = time.perf_counter()
        images = _distorted(next(pixels), share, epoch, augment, task)
        data_s += time.perf_counter() - asked
        rate = learning_rate_at(
            learner.step, total, peak=options.learning_rate, warmup=options.warmup
        )
        _step(wrapped, learner, task, images, batch, share, rate, class_weights)
        keeper.keep_now_and_then(learner.position)
        done = learner.step - epoch * len(batches)
        if done % 10 == 0 and done < len(batches):
            note = f"loss {learner.sums[0] / learner.sums[2]:.3f}"
            task.progress(Progress(_name(epoch, options), done, len(batches), note))
    return data_s, time.perf_counter() - started - data_s


def _distorted(
    pixels: NDArray[np.uint8], share: NDArray[np.int64], epoch: int, augment: Augment, task: Task
) -> Tensor:
    """Return the network input of the distorted pictures, float32 (n, C, H, W)."""
    seeds = [seed_of(task.options.seed, epoch, int(index)) for index in share]
    pictures = torch.from_numpy(pixels).permute(0, 3, 1, 2)
    changed = augment(pictures, seeds).permute(0, 2, 3, 1).numpy()
    return network_input(task.train.preprocess.normalise(changed), task.workers)


def _step(
    wrapped: nn.Module,
    learner: _Learner,
    task: Task,
    images: Tensor,
    batch: NDArray[np.int64],
    share: NDArray[np.int64],
    rate: float,
    class_weights: Tensor | None,
) -> None:
    """Learn from one batch, of which this worker holds `share`."""
    options, workers = task.options, task.workers
    torch.manual_seed(seed_of(options.seed, learner.step, workers.rank))  # what dropout draws from
    labels = torch.from_numpy(task.train.labels[share]).to(workers.device)
    amount = float(len(batch))
    if class_weights is not None:
        amount = float(class_weights[torch.from_numpy(task.train.labels[batch])].sum())
    precision = torch.bfloat16 if not learner.scaler.is_enabled() else torch.float16
    with torch.autocast(workers.device.type, dtype=precision, enabled=options.amp):
        logits = wrapped(images)
        losses = functional.cross_entropy(
            logits,
            labels,
            weight=None if class_weights is None else class_weights.to(workers.device),
            reduction="none",
            label_smoothing=options.label_smoothing,
        )
        if task.teacher is not None:
            losses = losses + functional.cross_entropy(
                logits, _answers(task.teacher, images), reduction="none"
            )
        # The mean over the whole batch: workers average their gradients, so each counts its sum
        # as many times as there are workers.
        loss = losses.sum() / amount
    for group in learner.optimizer.param_groups:
        group["lr"] = rate
    learner.optimizer.zero_grad()
    learner.scaler.scale(loss * workers.count).backward()  # type: ignore[no-untyped-call]
    learner.scaler.step(learner.optimizer)
    learner.scaler.update()
    right = (logits.detach().argmax(1) == labels).sum()
    seen = torch.stack([loss.detach().double() * len(batch), right.double()])
    loss_sum, right_sum = workers.summed(seen).tolist()
    before = learner.sums
    learner.sums = (before[0] + loss_sum, before[1] + right_sum, before[2] + len(batch))
    learner.step += 1


def _close_epoch(learner: _Learner, task: Task, seconds: tuple[float, float]) -> None:
    """Validate, and add the epoch to the list."""
    options, number = task.options, len(learner.epochs)
    loss, right, seen = learner.sums
    check_learning(loss / seen, number, options.learning_rate)
    found = evaluate(learner.network, task.val, task.classes, task.workers)
    epoch = Epoch(loss / seen, right / seen, found.loss, found.top1, *seconds)
    learner.epochs = (*learner.epochs, epoch)
    learner.sums = (0.0, 0.0, 0.0)
    if options.patience and best_of(learner.epochs, least_top1=task.least_top1) == number:
        state = learner.network.state_dict()
        learner.best = {name: value.detach().cpu().clone() for name, value in state.items()}
    task.progress(Progress(_name(number, options), task.batches, task.batches, epoch.line()))


@torch.no_grad()
def _answers(teacher: nn.Module, images: Tensor) -> Tensor:
    """Return the probabilities (n, classes) that `teacher` gives."""
    return teacher(images).softmax(1)  # type: ignore[no-any-return]


def _name(epoch: int, options: TrainingOptions) -> str:
    return f"epoch {epoch + 1}/{options.epochs}"


def _class_weights(task: Task) -> Tensor | None:
    """Return a weight per class, inverse to how many pictures it has (mean 1 over the pictures)."""
    if task.options.class_weights == "none":
        return None
    counts = np.bincount(task.train.labels, minlength=task.classes)
    return torch.from_numpy((task.train.count / (task.classes * counts)).astype(np.float32))
