"""What surrounds a run: seeds and threads put back afterwards, and failures in plain words."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import torch

from toolkit.errors import EdgekitError, InputError, MachineError
from toolkit.training.workers import Workers

__all__ = ["check_amp", "check_learning", "memory_errors", "seed_of", "seeded"]


def seed_of(*parts: int) -> int:
    """Return 63 bits that depend on all of `parts` (NumPy's SeedSequence)."""
    return int(np.random.SeedSequence(parts).generate_state(1, np.uint64)[0] >> np.uint64(1))


@contextmanager
def seeded(seed: int, threads: int, workers: Workers) -> Iterator[None]:
    """Seed PyTorch and set its threads for the block, and restore both."""
    before = torch.get_num_threads()
    if threads:
        torch.set_num_threads(threads)
    devices = [workers.device] if workers.device.type == "cuda" else []
    try:
        with torch.random.fork_rng(devices=devices):
            torch.manual_seed(seed)
            yield
    finally:
        torch.set_num_threads(before)


@contextmanager
def memory_errors(batch_size: int) -> Iterator[None]:
    """Turn what PyTorch raises when memory runs out into a MachineError with a smaller batch."""
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


def check_learning(loss: float, epoch: int, learning_rate: float) -> None:
    """Raise InputError when the loss of `epoch` (from 0) is no number any more."""
    if not math.isfinite(loss):
        raise InputError(
            f"Training diverged: the loss is {loss} after epoch {epoch + 1} at learning rate "
            f"{learning_rate}.",
            next_command=f"edgekit train DATA --learning-rate {learning_rate / 10:g}",
        )


def check_amp(workers: Workers) -> None:
    """Raise MachineError where mixed precision has no tensor cores to gain from."""
    if workers.device.type != "cuda":
        raise MachineError(
            "Mixed precision (--amp) needs a CUDA device, and PyTorch finds none here.",
            next_command='python -c "import torch; print(torch.cuda.is_available())"',
        )
