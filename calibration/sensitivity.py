"""How far a quantized network is from its float original, as a whole and layer by layer."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

__all__ = ["agreement", "mean_kl", "sqnr_db"]


def sqnr_db(reference: NDArray[np.float32], values: NDArray[np.float32]) -> float:
    """Return the power of `reference` over that of the error, in dB; infinity for no error."""
    power = float(np.square(reference, dtype=np.float64).sum())
    error = float(np.square(values.astype(np.float64) - reference).sum())
    if error == 0.0:
        return math.inf
    return 10.0 * math.log10(power / error) if power > 0.0 else -math.inf


def agreement(reference: NDArray[np.float32], values: NDArray[np.float32]) -> float:
    """Return the share of images (rows) whose largest logit is the same."""
    return float(np.mean(reference.argmax(axis=1) == values.argmax(axis=1)))


def mean_kl(reference: NDArray[np.float32], values: NDArray[np.float32]) -> float:
    """Return the mean over images of KL(softmax(reference) || softmax(values)), in nats."""
    expected, found = _log_softmax(reference), _log_softmax(values)
    return float(np.mean(np.sum(np.exp(expected) * (expected - found), axis=1)))


def _log_softmax(logits: NDArray[np.float32]) -> NDArray[np.float64]:
    shifted = logits.astype(np.float64) - logits.max(axis=1, keepdims=True)
    return np.asarray(shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True)))
