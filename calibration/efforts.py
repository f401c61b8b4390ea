"""How hard `auto` tries: how many images and which candidates each `--effort` stands for."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["EFFORTS", "SMALL_WEIGHT_MOMENTS", "Effort"]


@dataclass(frozen=True)
class Effort:
    """How much `auto` tries.

    `kept`: images held for trials, scaled histograms and the last choice; `images`: how many of
    them each trial sees; `moment_images`: how many decide how weights are rounded, 0 to round to
    nearest; `rounds_trials`: whether trials round weights so too, which takes longer, instead of
    the result alone.
    `strengths`: of equalization; `depthwise_strengths`: where all consumers are depthwise, so
    that their columns are rows and nothing is lost. `factors`: what the best range is multiplied
    with in the end.
    """

    kept: int
    images: int
    moment_images: int
    strengths: tuple[float, ...]
    depthwise_strengths: tuple[float, ...]
    methods: tuple[str, ...]
    factors: tuple[float, ...] = ()
    rounds_trials: bool = False


_METHODS = ("percentile-99.9", "percentile-99.999", "minmax", "mse")
EFFORTS: dict[str, Effort] = {
    "fast": Effort(32, 0, 0, (), (), ()),
    "balanced": Effort(128, 10, 8, (0.3,), (0.75,), _METHODS),
    "best": Effort(
        128,
        64,
        32,
        (0.2, 0.4, 0.6),
        (0.5, 0.75, 1.0),
        (*_METHODS, "entropy"),
        (0.7, 0.85, 1.2),
        rounds_trials=True,
    ),
}
SMALL_WEIGHT_MOMENTS = 16
"""With 7 bits the rounding of weights is the largest error: every effort but `fast` treats it."""
