"""The validation loss and which class was taken for which."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from toolkit.training.pictures import Pictures, batches_of
from toolkit.training.workers import Workers

__all__ = ["Evaluation", "evaluate", "network_input"]

_BATCH = 64


@dataclass(frozen=True)
class Evaluation:
    """`loss` is the mean cross-entropy; `confusion` counts (label, predicted), int64 (K, K)."""

    loss: float
    confusion: NDArray[np.int64]

    @property
    def top1(self) -> float:
        """Return the share of pictures whose largest logit is their label's."""
        return int(np.trace(self.confusion)) / int(self.confusion.sum())

    def counts(self) -> tuple[tuple[int, int, int], ...]:
        """Return (label, predicted, pictures) of every pair that occurred."""
        labels, predicted = np.nonzero(self.confusion)
        return tuple(
            (int(a), int(b), int(self.confusion[a, b]))
            for a, b in zip(labels, predicted, strict=True)
        )


@torch.no_grad()
def evaluate(network: nn.Module, pictures: Pictures, classes: int, workers: Workers) -> Evaluation:
    """Return how `network` does on `pictures`, each worker looking at its share of them."""
    network.eval()
    confusion = torch.zeros(classes * classes, dtype=torch.int64, device=workers.device)
    loss = torch.zeros(1, dtype=torch.float64, device=workers.device)
    mine = workers.share(np.arange(pictures.count, dtype=np.int64))
    batches = batches_of(mine, _BATCH) if len(mine) else []
    for batch, pixels in zip(batches, pictures.read(batches), strict=True):
        labels = torch.from_numpy(pictures.labels[batch]).to(workers.device)
        logits = network(network_input(pictures.preprocess.normalise(pixels), workers))
        loss += functional.cross_entropy(logits, labels, reduction="sum")
        pairs = labels * classes + logits.argmax(1)
        confusion += torch.bincount(pairs, minlength=classes * classes)
    workers.summed(confusion)
    workers.summed(loss)
    return Evaluation(
        loss=float(loss) / pictures.count,
        confusion=confusion.reshape(classes, classes).cpu().numpy(),
    )


def network_input(values: NDArray[np.float32], workers: Workers) -> Tensor:
    """Return normalised pictures (n, C, H, W) on the worker's device, in its faster layout."""
    return torch.from_numpy(values).to(workers.device, memory_format=torch.channels_last)
