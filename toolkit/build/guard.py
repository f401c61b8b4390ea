"""INT8 must beat FP16, or the build says that it does not: both engines timed in turns.

Users found INT8 engines as slow as FP16, or slower: convolutions that write floats, Q/DQ that does
not fuse, kernels for requantizing (NVIDIA/TensorRT issues 3197, 993, 4554). Only the device tells.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import numpy as np

from toolkit.progress import ProgressCallback, silent
from toolkit.runtime.session import Session
from toolkit.sample_inputs import sample_inputs
from toolkit.statistics import Ratio, percentile, ratio_of_medians
from toolkit.statistics.ratios import MARGIN
from toolkit.turns import plan_turns, take_turns

__all__ = ["DOES_NOT_BEAT", "Guard", "time_against_fp16"]

DOES_NOT_BEAT = "INT8 does not beat FP16 here"
_SAMPLES = 400
_SECONDS = 10.0
_WARMUP = 50


@dataclass(frozen=True)
class Guard:
    """How an INT8 engine compares with the FP16 engine `fp16`, both timed in turns."""

    fp16: str
    int8_p50_ms: float
    fp16_p50_ms: float
    speedup: Ratio
    """How many times as long FP16 takes."""

    @property
    def passed(self) -> bool:
        """Return whether INT8 is faster, beyond doubt and beyond what reloading an engine does."""
        return self.speedup.interval.low > 1.0 + MARGIN

    def note(self) -> str:
        """Return the verdict with its figures, for the manifest and the result line."""
        interval = self.speedup.interval
        figures = (
            f"{self.speedup.value:.2f} times as fast ({interval.low:.2f} to {interval.high:.2f}; "
            f"p50 {self.int8_p50_ms:.3f} against {self.fp16_p50_ms:.3f} ms)"
        )
        if self.passed:
            return f"INT8 beats {self.fp16}: {figures}"
        return f"{DOES_NOT_BEAT}: {figures} as {self.fp16}, which is the one to deploy"


def time_against_fp16(
    int8: Session,
    fp16: Session,
    *,
    samples: int = _SAMPLES,
    seconds: float = _SECONDS,
    clock: Callable[[], float] = time.perf_counter,
    progress: ProgressCallback = silent,
) -> Guard:
    """Run both sessions in turns on equal pictures and return how they compare.

    At most `seconds` each. Raises what `infer` raises.
    """
    count = int8.contract.input_shape[0] or 1
    calls = [
        partial(each.infer, sample_inputs(each.contract.preprocess, count, seed=0))
        for each in (int8, fp16)
    ]
    plan = plan_turns(samples, contenders=2)
    timings = take_turns(
        calls, plan=plan, warmup=_WARMUP, seconds=seconds, clock=clock, progress=progress
    )
    fast, slow = (np.asarray(each.samples).reshape(-1, plan.block) for each in timings)
    return Guard(
        fp16=fp16.engine_name,
        int8_p50_ms=1e3 * percentile(timings[0].samples, 50),
        fp16_p50_ms=1e3 * percentile(timings[1].samples, 50),
        speedup=ratio_of_medians(fast, slow),
    )
