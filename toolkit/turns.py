"""Time several things in turns, so that what disturbs the machine disturbs all of them alike."""

from __future__ import annotations

import gc
import math
import random
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from toolkit.progress import Progress, ProgressCallback, silent

__all__ = ["Plan", "Timings", "plan_turns", "take_turns"]

_BLOCK = 5
"""Runs in a row. Shorter turns cancel more of the drift: measured against 25 in a row on a busy
2-core machine, the interval of a ratio of medians was three times as narrow."""
_FEWEST_ROUNDS = 40


@dataclass(frozen=True)
class Plan:
    """In each of `rounds` rounds everything runs `block` times in a row, in a random order.

    `switch` runs before each block are timed apart: caches still hold what ran before.
    """

    rounds: int
    block: int
    switch: int


@dataclass(frozen=True)
class Timings:
    """Seconds of every run, in the order they were made: `samples` holds rounds of `block`."""

    samples: tuple[float, ...]
    warmup: tuple[float, ...]
    switch: tuple[float, ...]


def plan_turns(samples: int, *, contenders: int) -> Plan:
    """Return turns that give at least `samples` runs each, in many short rounds."""
    block = max(1, min(_BLOCK, samples // _FEWEST_ROUNDS))
    return Plan(math.ceil(samples / block), block, switch=0 if contenders == 1 else 1)


def take_turns(
    calls: Sequence[Callable[[], object]],
    *,
    plan: Plan,
    warmup: int,
    seconds: float,
    seed: int = 0,
    clock: Callable[[], float] = time.perf_counter,
    progress: ProgressCallback = silent,
) -> tuple[Timings, ...]:
    """Return the timings of each call; all have the same number of samples.

    Warm-up ends after `warmup` runs or a quarter of `seconds` each. The rounds end early, but not
    before the first, when `seconds` for each call are over.
    """
    warmups = [_warm_up(call, warmup, seconds / 4.0, clock) for call in calls]
    samples: list[list[float]] = [[] for _ in calls]
    switches: list[list[float]] = [[] for _ in calls]
    order = list(range(len(calls)))
    generator = random.Random(seed)
    end = clock() + seconds * len(calls)
    with _no_garbage_collection():
        for done in range(plan.rounds):
            if done and clock() >= end:
                break
            generator.shuffle(order)
            for index in order:
                times = _timed(calls[index], plan.switch + plan.block, clock)
                switches[index] += times[: plan.switch]
                samples[index] += times[plan.switch :]
            progress(Progress("measure", done + 1, plan.rounds))
    return tuple(
        Timings(tuple(taken), tuple(before), tuple(first))
        for taken, before, first in zip(samples, warmups, switches, strict=True)
    )


def _warm_up(
    call: Callable[[], object], runs: int, seconds: float, clock: Callable[[], float]
) -> list[float]:
    times: list[float] = []
    end = clock() + seconds
    while len(times) < runs and (not times or clock() < end):
        times += _timed(call, 1, clock)
    return times


def _timed(call: Callable[[], object], runs: int, clock: Callable[[], float]) -> list[float]:
    times = []
    for _ in range(runs):
        start = clock()
        call()
        times.append(clock() - start)
    return times


@contextmanager
def _no_garbage_collection() -> Iterator[None]:
    """Keep Python's collector, which is no part of what is measured, from running in between."""
    was_on = gc.isenabled()
    gc.collect()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()
