"""Run engines window by window under an open energy source, with the machine idle around them."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from targets.power import EnergySource
from toolkit.energy import Energy, Window
from toolkit.progress import Progress, ProgressCallback, silent

__all__ = ["EnergyPlan", "measure_energy"]


@dataclass(frozen=True)
class EnergyPlan:
    """`windows` per engine, and as many idle before and after, of so many seconds each."""

    windows: int = 10
    seconds: float = 1.0


def measure_energy(
    calls: Sequence[Callable[[], object]],
    source: EnergySource,
    *,
    plan: EnergyPlan | None = None,
    seed: int = 0,
    clock: Callable[[], float] = time.perf_counter,
    sleep: Callable[[float], None] = time.sleep,
    progress: ProgressCallback = silent,
) -> tuple[Energy, ...]:
    """Return the energy of each call, in turns; opens and closes `source`.

    What a reading still holds of the time before is not counted: the load runs for the source's
    settling time before each window. Raises TargetError when the source fails.
    """
    plan = plan or EnergyPlan()
    taken: list[list[Window]] = [[] for _ in calls]
    order = list(range(len(calls)))
    generator = random.Random(seed)

    def run(call: Callable[[], object], seconds: float) -> Window:
        _for(call, seconds=source.settle_s, clock=clock)
        return _window(source, clock, lambda: _for(call, seconds=seconds, clock=clock))

    def idle() -> tuple[Window, ...]:
        sleep(source.settle_s + plan.seconds)  # clocks and fans calm down

        def rest() -> int:
            sleep(plan.seconds)
            return 0

        return tuple(_window(source, clock, rest) for _ in range(plan.windows))

    with source:
        progress(Progress("energy", 0, plan.windows, note="idle"))
        before = idle()
        for done in range(plan.windows):
            generator.shuffle(order)
            for index in order:
                taken[index].append(run(calls[index], plan.seconds))
            progress(Progress("energy", done + 1, plan.windows))
        after = idle()
    return tuple(
        Energy(source.name, source.covers, source.hz, tuple(windows), before, after)
        for windows in taken
    )


def _window(source: EnergySource, clock: Callable[[], float], work: Callable[[], int]) -> Window:
    start, used = clock(), source.joules()
    inferences = work()
    return Window(clock() - start, source.joules() - used, inferences)


def _for(call: Callable[[], object], *, seconds: float, clock: Callable[[], float]) -> int:
    """Call again and again for so many seconds, at least once; return how often."""
    end = clock() + seconds
    count = 0
    while not count or clock() < end:
        call()
        count += 1
    return count
