"""The training loop: Adam with a one-cycle learning rate on mildly distorted pictures.

Equal pictures, options and thread counts give equal weights on a CPU.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from toolkit.checkpoint import Trained
from toolkit.errors import EdgekitError, InputError, MachineError
from toolkit.networks import build_network
from toolkit.preprocess import Preprocess
from toolkit.progress import Progress, ProgressCallback
from toolkit.training_pictures import Pictures

__all__ = ["train_network"]


def train_network(
    arch: str,
    classes: tuple[str, ...],
    train_pictures: Pictures,
    val_pictures: Pictures,
    *,
    epochs: int,
    batch_size: int,
    learning_rate: float,
    seed: int,
    threads: int,
    progress: ProgressCallback,
) -> Trained:
    """Return a network of kind `arch` trained on the first pictures and scored on the second.

    `threads` = 0 leaves PyTorch its choice. Raises InputError when the loss diverges,
    MachineError when memory runs out.
    """
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    with _seeded(seed, threads), _memory_errors(batch_size):
        network = build_network(arch, len(classes)).to(device)
        network.to(memory_format=torch.channels_last)  # faster on CPUs, and on tensor cores
        top1 = _fit(
            network,
            train_pictures,
            val_pictures,
            epochs=epochs,
            batch_size=batch_size,
            learning_rate=learning_rate,
            seed=seed,
            device=device,
            progress=progress,
        )
    return Trained(
        arch=arch,
        classes=classes,
        preprocess=train_pictures.preprocess,
        state=network.state_dict(),
        top1=top1,
        epochs=epochs,
        seed=seed,
    )


def _fit(
    network: nn.Module,
    train_pictures: Pictures,
    val_pictures: Pictures,
    *,
    epochs: int,
    batch_size: int,
    learning_rate: float,
    seed: int,
    device: torch.device,
    progress: ProgressCallback,
) -> float:
    """Train `network` in place and return its top-1 on the validation pictures."""
    shuffler = np.random.default_rng(seed)
    count = len(train_pictures.images)
    steps = epochs * math.ceil(count / batch_size)
    optimizer = torch.optim.Adam(network.parameters(), lr=learning_rate)
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, max_lr=learning_rate, total_steps=max(steps, 2)
    )
    step, top1, loss_sum = 0, 0.0, 0.0
    for epoch in range(epochs):
        network.train()
        loss_sum, seen = 0.0, 0
        order = shuffler.permutation(count)
        for pixels, labels in train_pictures.batches(order.tolist(), batch_size):
            images = _distorted(_tensor(pixels, train_pictures.preprocess, device))
            targets = torch.from_numpy(labels).to(device)
            loss = functional.cross_entropy(network(images), targets)
            optimizer.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]  # torch leaves it untyped
            optimizer.step()
            schedule.step()
            loss_sum += float(loss.detach()) * len(labels)
            seen += len(labels)
            step += 1
            if step % 10 == 0:
                note = f"epoch {epoch + 1}/{epochs}, loss {loss_sum / seen:.3f}"
                progress(Progress("train", step, steps, note))
        _check_learning(loss_sum / seen, epoch, learning_rate)
        top1 = _top1(network, val_pictures, device)
        note = f"epoch {epoch + 1}/{epochs}, loss {loss_sum / seen:.3f}, top-1 {top1:.2%}"
        progress(Progress("train", step, steps, note))
    return top1


@torch.no_grad()
def _top1(network: nn.Module, pictures: Pictures, device: torch.device) -> float:
    """Return the share of pictures whose largest logit is their label's."""
    network.eval()
    right = 0
    for pixels, labels in pictures.batches(range(len(pictures.images)), 64):
        logits = network(_tensor(pixels, pictures.preprocess, device))
        right += int((logits.argmax(1).cpu() == torch.from_numpy(labels)).sum())
    return right / len(pictures.images)


def _tensor(pixels: NDArray[np.uint8], preprocess: Preprocess, device: torch.device) -> Tensor:
    """Return the network input (n, C, H, W): normalised by the one shared definition."""
    return torch.from_numpy(preprocess.normalise(pixels)).to(device)


def _distorted(images: Tensor) -> Tensor:
    """Return the images turned, scaled, shifted, brightened and mixed with grey, each by chance.

    Never mirrored: a mirrored "turn right" means something else.
    """
    n, device = len(images), images.device
    angle = (torch.rand(n, device=device) - 0.5) * math.radians(16)
    scale = 1 + (torch.rand(n, device=device) - 0.5) * 0.2
    shift = (torch.rand(n, 2, device=device) - 0.5) * 0.2
    cosine, sine = torch.cos(angle) * scale, torch.sin(angle) * scale
    matrix = torch.stack(
        [torch.stack([cosine, -sine], 1), torch.stack([sine, cosine], 1), shift], dim=2
    )
    grid = functional.affine_grid(matrix, list(images.shape), align_corners=False)
    moved = functional.grid_sample(images, grid, padding_mode="border", align_corners=False)
    gain = 1 + (torch.rand(n, 1, 1, 1, device=device) - 0.5) * 0.4
    offset = (torch.rand(n, 1, 1, 1, device=device) - 0.5) * 0.4
    return (moved * gain + offset).contiguous(memory_format=torch.channels_last)


@contextmanager
def _seeded(seed: int, threads: int) -> Iterator[None]:
    """Seed PyTorch and set its threads for the block, and restore both."""
    before = torch.get_num_threads()
    if threads:
        torch.set_num_threads(threads)
    try:
        with torch.random.fork_rng():
            torch.manual_seed(seed)
            yield
    finally:
        torch.set_num_threads(before)


@contextmanager
def _memory_errors(batch_size: int) -> Iterator[None]:
    try:
        yield
    except EdgekitError:
        raise
    except (MemoryError, RuntimeError) as error:
        text = str(error).lower()
        scarce = "out of memory" in text or "allocate memory" in text or "not enough memory" in text
        if not (scarce or isinstance(error, MemoryError)):
            raise
        raise MachineError(
            f"Memory ran out while training with batches of {batch_size}.",
            next_command=f"edgekit train DATA --batch-size {max(1, batch_size // 2)}",
        ) from error


def _check_learning(loss: float, epoch: int, learning_rate: float) -> None:
    if not math.isfinite(loss):
        raise InputError(
            f"Training diverged: the loss is {loss} after epoch {epoch + 1} at learning rate "
            f"{learning_rate}.",
            next_command=f"edgekit train DATA --learning-rate {learning_rate / 10:g}",
        )
