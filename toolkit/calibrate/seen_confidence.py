"""How sure the INT8 network is on calibration images, and how far a session lies from that."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from calibration.emit import Quantized
from calibration.execute import logits_of
from toolkit.datasets.folder import LabelledImage, batches
from toolkit.preprocess import Preprocess
from toolkit.statistics import Interval, percentile, quantile_interval
from toolkit.top_k import confidences

__all__ = ["ConfidenceShift", "shift_of_confidence", "with_confidences"]

_IMAGES = 64
"""Enough for a median within about 0.1; more would add seconds to every calibration."""
_BATCH = 8


@dataclass(frozen=True)
class ConfidenceShift:
    """Medians of the probability of the likeliest class, and `shift` = session - calibration."""

    calibration_median: float
    calibration_images: int
    session_median: float
    session_frames: int
    shift: float
    interval: Interval

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON values."""
        return {**asdict(self), "interval": self.interval.to_list()}

    def line(self) -> str:
        """Return the shift for a person."""
        ends = ["?" if end is None else f"{end:+.3f}" for end in self.interval.to_list()]
        if 0.0 not in self.interval:
            verdict = "shifted"
        elif None in self.interval.to_list():
            verdict = "too few independent frames to tell"
        else:
            verdict = "no shift shown"
        return (
            f"median {self.session_median:.3f}, {self.calibration_median:.3f} on "
            f"{self.calibration_images} calibration images: {self.shift:+.3f} "
            f"[{ends[0]}, {ends[1]}], {verdict}"
        )


def with_confidences(
    result: Quantized, images: Sequence[LabelledImage], preprocess: Preprocess
) -> Quantized:
    """Return `result` with what its network's confidence is on up to 64 of its own images.

    The Q/DQ graph runs in float, as TensorRT rounds it. Every n-th image is taken, so that all
    classes of an ordered list are there.
    """
    chosen = images[:: -(-len(images) // _IMAGES)] if images else ()
    seen = [
        round(float(confidences(row).max()), 4)
        for batch, _ in batches(chosen, preprocess, batch_size=_BATCH)
        for row in logits_of(result.model, batch)
    ]
    return replace(result, table=replace(result.table, confidences=tuple(sorted(seen))))


def shift_of_confidence(
    calibration: Sequence[float], session: Sequence[float] | NDArray[np.float64]
) -> ConfidenceShift | None:
    """Return how the session's median confidence differs; None where either has no values.

    `session` is in time order: neighbouring frames tell less than independent ones, which widens
    its interval. The two intervals combine by MOVER (G. Zou and A. Donner, Statistics in Medicine
    27, 2008): each end is as far from the difference as the root of both squared distances.
    """
    if len(calibration) == 0 or len(session) == 0:
        return None
    before, now = percentile(calibration, 50), percentile(session, 50)
    # The table holds its values sorted, and images are independent: any other order is as good.
    shuffled = np.random.default_rng(0).permutation(np.asarray(calibration, dtype=np.float64))
    of_before, of_now = quantile_interval(shuffled, 50), quantile_interval(session, 50)
    shift = now - before
    interval = Interval(
        shift - math.hypot(now - of_now.low, of_before.high - before),
        shift + math.hypot(of_now.high - now, before - of_before.low),
    )
    return ConfidenceShift(before, len(calibration), now, len(session), shift, interval)
