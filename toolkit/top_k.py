"""The most likely classes of one output row, with their names."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from toolkit.contract import Contract
from toolkit.errors import ModelError

__all__ = ["Guess", "confidences", "top_guesses"]


@dataclass(frozen=True)
class Guess:
    """A class, `index` in the order of the logits, and how sure the network is (0 to 1)."""

    index: int
    label: str
    id: str
    confidence: float


def confidences(row: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the softmax of a row of logits; a row that is a distribution already, as it is."""
    if row.min() >= 0.0 and abs(float(row.sum()) - 1.0) < 1e-3:
        return row
    powers = np.exp(row - row.max())
    return np.asarray(powers / powers.sum(), dtype=np.float32)


def top_guesses(row: NDArray[np.float32], contract: Contract, k: int) -> tuple[Guess, ...]:
    """Return the `k` most likely classes, best first, the lower index first among equals.

    Raises ModelError when the output is not finite or has another length than the labels.
    """
    if row.shape != (len(contract.labels),):
        raise ModelError(
            f"The engine answers with {row.shape} values a frame, but its contract names "
            f"{len(contract.labels)} classes.",
            next_command="edgekit inspect ENGINE --json",
        )
    if not np.isfinite(row).all():
        raise ModelError(
            "The engine answers with values that are not finite (NaN or infinity): "
            "its precision overflows.",
            next_command="edgekit inspect ENGINE --json",
        )
    order = np.argsort(-row, kind="stable")[:k].tolist()
    shares = confidences(row)[order].tolist()
    return tuple(
        Guess(i, contract.labels[i], contract.ids[i], share)
        for i, share in zip(order, shares, strict=True)
    )
