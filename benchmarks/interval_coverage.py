"""How often the intervals of `toolkit.statistics` hold a known truth, and how wide they are.

    python -m benchmarks.interval_coverage

Every row is 2,000 simulated experiments of a fixed seed. Times are log-normal AR(1) series, whose
neighbours resemble each other as latencies do: 1,000 samples, the default of `measure`, with
correlations of 0, 0.5 and 0.8 from one to the next. `covered` is the share of experiments whose
interval holds the truth, `bounded` that of experiments whose interval has both ends, `width` the
mean width of these. Bounds are counted as intervals from 0, so that their width is the bound; they
are one-sided, as `edgekit gate` uses them. Everything is for 95 %. Each row has the coverage that
it is held to; the command ends with exit code 3 where one misses it.
"""

from __future__ import annotations

import argparse
import math
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np

from benchmarks.conditions import RESULTS, write_results
from tests.unit.toolkit.statistics.simulated import PAIRED_TRUTHS, autocorrelated, in_turns
from toolkit.statistics import (
    Interval,
    confidence_error,
    mean_interval,
    newcombe_interval,
    paired_drop_interval,
    quantile_interval,
    ratio_of_medians,
    two_sided,
    wilson_interval,
)
from toolkit.statistics.distributions import normal_quantile

__all__ = ["Row", "main", "rows"]

_SPREAD = 0.3  # of the logarithm of a time
_SAMPLES = 1000
_IMAGES = 653
_CORRELATIONS = (0.0, 0.5, 0.8)
_BOTH = (0.93, 0.97)
_AT_LEAST = (0.94, 1.0)
_BOUND = (0.94, 0.98)


@dataclass(frozen=True)
class Row:
    """One interval on one kind of truth; `width_ratio` is against Newcombe's where that is one."""

    interval: str
    truth: str
    covered: float
    bounded: float
    width: float
    held_to: tuple[float, float]
    width_ratio: float | None = None

    @property
    def kept(self) -> bool:
        """Tell whether the coverage is what it is held to, and the width within 10 %."""
        low, high = self.held_to
        return low <= self.covered <= high and (self.width_ratio or 1.0) <= 1.10


def rows(runs: int) -> Iterator[Row]:
    yield from _of_times(runs)
    yield from _of_ratios(runs)
    yield from _of_proportions(runs)
    yield from _of_drops(runs)
    yield from _of_calibration_errors(runs)


def _row(
    name: str, truth: str, value: float, found: list[Interval], held_to: tuple[float, float]
) -> Row:
    widths = np.array([each.width for each in found])
    finite = np.isfinite(widths)
    return Row(
        name,
        truth,
        float(np.mean([value in each for each in found])),
        float(finite.mean()),
        float(widths[finite].mean()) if finite.any() else math.inf,
        held_to,
    )


def _of_times(runs: int) -> Iterator[Row]:
    level = two_sided(0.95)

    def upper(q: float) -> Callable[[np.ndarray], Interval]:
        def bound(times: np.ndarray) -> Interval:
            found = quantile_interval(times, q, confidence=level)
            return Interval(0.0, found.high, 0.95)

        return bound

    kinds: tuple[tuple[str, Callable[[np.ndarray], Interval], float, tuple[float, float]], ...] = (
        ("mean", mean_interval, math.exp(_SPREAD**2 / 2.0), _BOTH),
        ("median", lambda times: quantile_interval(times, 50), 1.0, _BOTH),
        ("p95, both sides", lambda times: quantile_interval(times, 95), _time(95), _AT_LEAST),
        ("p99, both sides", lambda times: quantile_interval(times, 99), _time(99), _AT_LEAST),
        ("p95, upper bound", upper(95), _time(95), _BOUND),
        ("p99, upper bound", upper(99), _time(99), _BOUND),
    )
    for correlation in _CORRELATIONS:
        times = np.exp(_SPREAD * autocorrelated(runs, _SAMPLES, correlation=correlation, seed=101))
        for name, interval, truth, held_to in kinds:
            found = [interval(each) for each in times]
            yield _row(name, f"AR {correlation:g}, n {_SAMPLES}", truth, found, held_to)


def _time(q: float) -> float:
    return math.exp(_SPREAD * normal_quantile(q / 100.0))


def _of_ratios(runs: int) -> Iterator[Row]:
    """Yield two equal engines in turns, on a machine that drifts and is interrupted in bursts."""
    for correlation in _CORRELATIONS:
        blocks = in_turns(runs, correlation=correlation, seed=102)
        found = [ratio_of_medians(a, b).interval for a, b in blocks]
        yield _row("ratio of medians", f"AR {correlation:g}, 200 rounds", 1.0, found, _BOTH)


def _of_proportions(runs: int) -> Iterator[Row]:
    rng = np.random.default_rng(103)
    wilson = lru_cache(maxsize=None)(wilson_interval)
    for n, accuracy in ((_IMAGES, 0.72), (_IMAGES, 0.95), (200, 0.5), (5000, 0.698)):
        found = [wilson(int(right), n) for right in rng.binomial(n, accuracy, runs)]
        yield _row("proportion (Wilson)", f"{accuracy:g} of {n}", accuracy, found, _AT_LEAST)


def _of_drops(runs: int) -> Iterator[Row]:
    rng = np.random.default_rng(104)
    tango = lru_cache(maxsize=None)(paired_drop_interval)
    for a, b, accuracy in PAIRED_TRUTHS:
        shares = [accuracy - a, a, b, 1.0 - accuracy - b]
        drawn = rng.multinomial(_IMAGES, shares, size=runs)
        truth = f"{a:g} against {b:g} of {_IMAGES}"
        found = [tango(int(row[1]), int(row[2]), _IMAGES) for row in drawn]
        yardstick = np.mean([newcombe_interval(*map(int, row)).width for row in drawn])
        made = _row("paired drop (Tango)", truth, a - b, found, _AT_LEAST)
        yield Row(**{**vars(made), "width_ratio": made.width / float(yardstick)})


def _of_calibration_errors(runs: int) -> Iterator[Row]:
    """Yield the rows of models whose confidence is too high by so much, everywhere."""
    rng = np.random.default_rng(105)
    for overconfidence in (0.0, 0.03, 0.10):
        found = []
        for _ in range(runs):
            confidences = rng.beta(5.0, 1.5, _IMAGES)
            right = rng.random(_IMAGES) < np.clip(confidences - overconfidence, 0.0, 1.0)
            found.append(confidence_error(confidences, right).interval)
        truth = f"{overconfidence:g}, {_IMAGES} images"
        # No figure is promised for these: the sizes of gaps have a kink at zero, where resamples
        # of gaps that are small beside their noise say too little (see `confidence_error`).
        yield _row("calibration error", truth, overconfidence, found, (0.88, 1.0))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--runs", type=int, default=2000)
    parser.add_argument("--out", type=Path, default=RESULTS / "interval-coverage.json")
    arguments = parser.parse_args()
    began = time.perf_counter()
    found = []
    for row in rows(arguments.runs):
        found.append(row)
        ratio = "" if row.width_ratio is None else f"  {row.width_ratio:.3f} of Newcombe's"
        low, high = row.held_to
        print(
            f"{row.interval:20} {row.truth:24} covered {100.0 * row.covered:5.1f} % "
            f"({100.0 * low:g} to {100.0 * high:g})  bounded {100.0 * row.bounded:5.1f} %  "
            f"width {row.width:.4f}{ratio}{'' if row.kept else '  MISSED'}",
            flush=True,
        )
    values = {
        "runs": arguments.runs,
        "rows": [{**asdict(row), "kept": row.kept} for row in found],
        "seconds": time.perf_counter() - began,
    }
    write_results(arguments.out, values)
    if not all(row.kept for row in found):
        sys.exit(3)


if __name__ == "__main__":
    main()
