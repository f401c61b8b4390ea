"""How far the logits of one model lie from another's, summed over batches: SQNR and KL."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from calibration.sqnr import decibels

__all__ = ["LogitsDifference"]

_SMALLEST = 1e-12  # keeps the logarithm of a probability that was rounded to zero finite


class LogitsDifference:
    """Sums over images what two models answer differently; `add` batches, then read the figures."""

    def __init__(self) -> None:
        self._signal = 0.0
        self._noise = 0.0
        self._divergence = 0.0
        self._images = 0

    def add(self, reference: NDArray[np.float32], other: NDArray[np.float32]) -> None:
        """Take the logits (n, classes) of the same images from both models."""
        wanted, got = reference.astype(np.float64), other.astype(np.float64)
        self._signal += float(np.sum(wanted**2))
        self._noise += float(np.sum((got - wanted) ** 2))
        p, q = _log_probabilities(wanted), _log_probabilities(got)
        self._divergence += float(np.sum(np.exp(p) * (p - q)))
        self._images += len(wanted)

    @property
    def sqnr_db(self) -> float:
        """Return 10 log10(sum of squared reference logits / sum of squared differences).

        Over all logits of all images; infinite when there is no difference.
        """
        return decibels(self._signal, self._noise)

    @property
    def mean_kl(self) -> float:
        """Return the mean over images of KL(reference || other) of the class probabilities, nats.

        Probabilities are the softmax of the logits, or the outputs if these are a distribution.
        """
        return max(0.0, self._divergence / self._images) if self._images else 0.0


def _log_probabilities(rows: NDArray[np.float64]) -> NDArray[np.float64]:
    sums = rows.sum(axis=1, keepdims=True)
    if rows.min() >= 0.0 and np.all(np.abs(sums - 1.0) < 1e-3):
        return np.asarray(np.log(np.maximum(rows, _SMALLEST)), dtype=np.float64)
    shifted = rows - rows.max(axis=1, keepdims=True)
    return np.asarray(
        shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True)), dtype=np.float64
    )
