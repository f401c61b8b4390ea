"""Whether `measure` sees a slowdown of 5 %, and none where there is none, on the real runtime.

    python -m benchmarks.planted_slowdown ENGINE --runs 100

In every run the same engine is opened twice and both take turns, with the budget that `edgekit
measure` has by default. A/A: both are left as they are. Planted: the second repeats a piece of
matrix work after each inference, as often as makes it 5 % slower; that number is found in turns of
their own at the start of the run. An engine of a few milliseconds keeps 100 runs to about an
hour: 2 x 1000 inferences, twice a run.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from benchmarks.conditions import RESULTS, write_results
from toolkit.artifacts import digest_of_file
from toolkit.runtime import open_session
from toolkit.sample_inputs import sample_inputs
from toolkit.statistics import MARGIN, Ratio, ratio_of_medians
from toolkit.turns import plan_turns, take_turns

__all__ = ["main"]

_SIDE = 48  # a product of two such matrices takes some microseconds


@dataclass(frozen=True)
class Found:
    """The ratio of one run, its interval, and whether `measure` would call it a difference."""

    ratio: float
    low: float
    high: float
    differs: bool
    planted: float


def found_from_ratio(ratio: Ratio, *, planted: float) -> Found:
    interval = ratio.interval
    return Found(ratio.value, interval.low, interval.high, ratio.differs(), planted)


def in_turns(
    calls: list[Callable[[], object]], *, samples: int, seconds: float, seed: int
) -> list[np.ndarray]:
    """Return the seconds of each call, (rounds, runs in a row)."""
    plan = plan_turns(samples, contenders=len(calls))
    timings = take_turns(calls, plan=plan, warmup=50, seconds=seconds, seed=seed)
    return [np.asarray(each.samples).reshape(-1, plan.block) for each in timings]


def one_run(
    engine: Path, *, threads: int, samples: int, seconds: float, slowdown: float, seed: int
) -> tuple[Found, Found]:
    """Return what an A/A run and a planted run find."""
    a = np.random.default_rng(seed).random((_SIDE, _SIDE)).astype(np.float32)
    with (
        open_session(engine, threads=threads) as first,
        open_session(engine, threads=threads) as second,
    ):
        contract = first.contract
        inputs = sample_inputs(contract.preprocess, contract.input_shape[0] or 1, seed=seed)

        def left() -> object:
            return first.infer(inputs)

        def right() -> object:
            return second.infer(inputs)

        def work() -> None:
            for _ in range(10):
                a @ a

        own, piece = (
            float(np.median(each))
            for each in in_turns([right, work], samples=200, seconds=seconds, seed=seed)
        )
        repeats = max(1, round(slowdown * own / (piece / 10.0)))

        def slower() -> None:
            second.infer(inputs)
            for _ in range(repeats):
                a @ a

        # The work also drives the engine out of the caches: what it costs in all is measured.
        times = in_turns([right, slower], samples=400, seconds=seconds, seed=seed)
        cost = ratio_of_medians(times[0], times[1]).value - 1.0
        planned, repeats = repeats, max(1, round(repeats * slowdown / max(cost, 0.01)))
        found = []
        for other, planted in ((right, 0.0), (slower, cost * repeats / planned)):
            blocks = in_turns([left, other], samples=samples, seconds=seconds, seed=seed)
            found.append(found_from_ratio(ratio_of_medians(blocks[0], blocks[1]), planted=planted))
    return found[0], found[1]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("engine", type=Path)
    parser.add_argument("--runs", type=int, default=100)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--samples", type=int, default=1000, help="the default of measure")
    parser.add_argument("--seconds", type=float, default=60.0, help="the default of measure")
    parser.add_argument("--slowdown", type=float, default=0.05)
    parser.add_argument("--out", type=Path, default=RESULTS / "planted-slowdown.json")
    arguments = parser.parse_args()
    began = time.perf_counter()
    same: list[Found] = []
    planted: list[Found] = []
    for seed in range(arguments.runs):
        equal, slow = one_run(
            arguments.engine,
            threads=arguments.threads,
            samples=arguments.samples,
            seconds=arguments.seconds,
            slowdown=arguments.slowdown,
            seed=seed,
        )
        same.append(equal)
        planted.append(slow)
        print(f"{seed + 1}: A/A {equal.ratio:.4f}  planted {slow.ratio:.4f}", flush=True)
    values = {
        "engine": arguments.engine.name,
        "engine_sha256": digest_of_file(arguments.engine),
        "runs": arguments.runs,
        "threads": arguments.threads,
        "samples": arguments.samples,
        "margin": MARGIN,
        "no_difference_of_same": sum(not each.differs for each in same),
        "slowdowns_found": sum(each.differs and each.ratio > 1.0 for each in planted),
        "same": [asdict(each) for each in same],
        "planted": [asdict(each) for each in planted],
        "seconds": time.perf_counter() - began,
    }
    write_results(arguments.out, values)
    print({key: values[key] for key in ("runs", "no_difference_of_same", "slowdowns_found")})


if __name__ == "__main__":
    main()
