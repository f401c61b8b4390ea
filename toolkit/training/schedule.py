"""The learning rate of a step: a short rise, then half a cosine down to zero.

A pure function of the step, so that a resumed run needs no state of it (Loshchilov and Hutter,
"SGDR", 2017, without restarts; the rise as in Goyal et al., "Accurate, Large Minibatch SGD", 2017).
"""

from __future__ import annotations

import math

__all__ = ["learning_rate_at"]


def learning_rate_at(step: int, steps: int, *, peak: float, warmup: float) -> float:
    """Return the rate of `step` (0 .. `steps` - 1); `warmup` is the share of steps that rise."""
    rising = round(warmup * steps)
    if step < rising:
        return peak * (step + 1) / rising
    passed = (step - rising) / max(1, steps - rising)
    return peak * 0.5 * (1.0 + math.cos(math.pi * passed))
