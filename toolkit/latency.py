"""What a latency measurement found: raw samples, the conditions, and what can be said from them."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from toolkit.energy import Energy, energy_from_dict
from toolkit.errors import InputError
from toolkit.kernel_time import KernelTime, kernel_time_from_dict
from toolkit.record_file import damaged, read_record, write_record
from toolkit.shell import quoted
from toolkit.statistics import (
    Interval,
    Ratio,
    mean_interval,
    percentile,
    quantile_interval,
    ratio_of_medians,
    trusted,
)

__all__ = ["Latency", "latency_from_dict", "ratio_between", "read_latency", "write_latency"]

_KIND = "edgekit latency"
_VERSION = 1
_PERCENTILES = (50, 95, 99)
_REMAKE = "edgekit measure ENGINE --out FILE.latency.json"


def _times(values: Sequence[float]) -> tuple[float, ...]:
    return tuple(map(float, values))


def _words(values: Sequence[str]) -> tuple[str, ...]:
    return tuple(map(str, values))


_FIELDS: tuple[tuple[str, Callable[[Any], Any]], ...] = (
    *((name, str) for name in ("engine", "digest", "backend", "precision", "run")),
    *((name, int) for name in ("threads", "batch", "block", "bytes")),
    ("cold_start_ms", float),
    ("conditions", dict),
    *((name, _times) for name in ("samples_ms", "warmup_ms", "switch_ms")),
    *((name, _words) for name in ("unstable", "notes")),
)


@dataclass(frozen=True)
class Latency:
    """How long one inference takes: from a batch in host memory to its logits in host memory.

    `samples_ms` are in the order they were taken, `block` in a row per round; engines with the
    same `run` took turns in every round, and only between these does a ratio mean something.
    Warm-up, and the first inference after another engine ran (`switch_ms`), are kept apart.
    `cold_start_ms` is from opening the file to the first answer, with libraries imported and the
    file in the page cache.
    """

    engine: str
    digest: str
    """SHA-256 of the engine file."""
    backend: str
    precision: str
    threads: int
    """CPU threads asked for; 0: every CPU this process may use."""
    batch: int
    run: str
    block: int
    samples_ms: tuple[float, ...]
    warmup_ms: tuple[float, ...]
    switch_ms: tuple[float, ...]
    cold_start_ms: float
    bytes: int
    conditions: dict[str, Any] = field(hash=False)
    """The machine after the run, and under "before" as it was before."""
    unstable: tuple[str, ...] = ()
    """Why these figures may not be repeatable, and what to do; empty for a calm run."""
    notes: tuple[str, ...] = ()
    layers: tuple[KernelTime, ...] = ()
    """Every kernel in the order it runs, from a run of its own; empty where that was not asked."""
    energy: Energy | None = None
    """From a run of its own; None where it was not asked or no source could be read."""

    def percentile(self, q: float) -> float:
        """Return the nearest-rank q-th percentile of the samples, in milliseconds."""
        return percentile(self.samples_ms, q)

    def trusts(self, q: float) -> bool:
        """Tell whether at least ten samples lie beyond the q-th percentile."""
        return trusted(len(self.samples_ms), q)

    def interval(self, q: float) -> Interval:
        """Return the 95 % interval of the q-th percentile, in milliseconds."""
        return quantile_interval(self.samples_ms, q)

    @property
    def jitter_ms(self) -> float:
        """Return p99 - p50."""
        return self.percentile(99) - self.percentile(50)

    @property
    def images_per_second(self) -> float:
        """Return the throughput of inferences back to back."""
        return 1e3 * self.batch * len(self.samples_ms) / math.fsum(self.samples_ms)

    def line(self) -> str:
        """Return the result as one line; a percentile with too few samples beyond it has a `?`."""
        figures = "  ".join(
            f"p{q} {self.percentile(q):.2f} ms{'' if self.trusts(q) else '?'}" for q in _PERCENTILES
        )
        energy = f"{self.energy.line()}  " if self.energy else ""
        return (
            f"{self.engine}  {figures}  {self.images_per_second:.1f} images/s  {energy}"
            f"({len(self.samples_ms)} runs after {len(self.warmup_ms)} warm-up)"
        )

    def slowest_layers(self, count: int = 10) -> tuple[KernelTime, ...]:
        """Return the kernels that take longest, the slowest first."""
        return tuple(sorted(self.layers, key=lambda each: -each.median_ms)[:count])

    def slowest_lines(self) -> tuple[str, ...]:
        """Return a line for each of the slowest kernels; nothing where they were not timed."""
        if not self.layers:
            return ()
        head = f"{Path(self.engine).name}: slowest of {len(self.layers)} kernels, profiled apart"
        return (head, *(each.line() for each in self.slowest_layers()))

    def to_dict(self, *, raw: bool = False) -> dict[str, Any]:
        """Return plain JSON values; with `raw`, every sample, which `latency_from_dict` needs."""
        mean = mean_interval(self.samples_ms)
        values: dict[str, Any] = {
            "engine": self.engine,
            **{f"p{q}_ms": self.percentile(q) for q in _PERCENTILES},
            **{f"p{q}_interval_ms": self.interval(q).to_list() for q in _PERCENTILES},
            "untrusted_percentiles": [f"p{q}" for q in _PERCENTILES if not self.trusts(q)],
            "mean_interval_ms": mean.to_list(),
            "jitter_ms": self.jitter_ms,
            "images_per_second": self.images_per_second,
            "samples": len(self.samples_ms),
            "warmup": len(self.warmup_ms),
            "digest": self.digest,
            "backend": self.backend,
            "precision": self.precision,
            "threads": self.threads,
            "batch": self.batch,
            "run": self.run,
            "block": self.block,
            "cold_start_ms": self.cold_start_ms,
            "bytes": self.bytes,
            "conditions": self.conditions,
            "unstable": list(self.unstable),
            "notes": list(self.notes),
        }
        if self.layers:
            values["layers"] = [asdict(each) for each in self.layers]
        if self.energy is not None:
            values["energy"] = self.energy.to_dict()
        if raw:
            for name in ("samples_ms", "warmup_ms", "switch_ms"):
                values[name] = list(getattr(self, name))
        return values


def ratio_between(a: Latency, b: Latency) -> Ratio:
    """Return how many times as long `b` takes as `a`, with its interval.

    Raises InputError when they did not take turns: drift would be mistaken for a difference.
    """
    if a.run != b.run or a.block != b.block or len(a.samples_ms) != len(b.samples_ms):
        raise InputError(
            f"{a.engine} and {b.engine} were not measured in turns: their ratio would contain "
            "whatever else changed in between.",
            next_command=f"edgekit measure {quoted(a.engine)} {quoted(b.engine)}",
        )
    blocks = [np.asarray(run.samples_ms).reshape(-1, run.block) for run in (a, b)]
    return ratio_of_medians(blocks[0], blocks[1])


def write_latency(path: Path, runs: Sequence[Latency]) -> None:
    """Write the runs with all their samples to `path`, usually `*.latency.json`."""
    values = {"runs": [run.to_dict(raw=True) for run in runs]}
    write_record(path, values, kind=_KIND, version=_VERSION)


def read_latency(path: Path) -> tuple[Latency, ...]:
    """Return the runs in `path`.

    Raises InputError when the file is missing, cut off, from a newer Edgekit, or when its figures
    do not follow from its samples.
    """
    values = read_record(path, kind=_KIND, version=_VERSION, remake=_REMAKE)
    runs = values.get("runs")
    if not isinstance(runs, list) or not runs:
        raise damaged(path, "no runs", remake=_REMAKE)
    return tuple(latency_from_dict(run, where=path) for run in runs)


def latency_from_dict(values: dict[str, Any], *, where: Path) -> Latency:
    """Return the run that `to_dict(raw=True)` described; `where` names the file for the error."""
    try:
        fields: dict[str, Any] = {name: kind(values[name]) for name, kind in _FIELDS}
        layers = tuple(map(kernel_time_from_dict, values.get("layers", ())))
        energy = energy_from_dict(values["energy"]) if values.get("energy") else None
        run = Latency(**fields, layers=layers, energy=energy)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise damaged(where, f"{type(error).__name__}: {error}", remake=_REMAKE) from error
    everything = (*run.samples_ms, *run.warmup_ms, *run.switch_ms)
    if not run.samples_ms or not all(math.isfinite(ms) and ms > 0.0 for ms in everything):
        raise damaged(where, "no samples, or times that are not positive", remake=_REMAKE)
    n = len(run.samples_ms)
    if run.block < 1 or n % run.block:
        raise damaged(where, f"{n} samples in blocks of {run.block}", remake=_REMAKE)
    for q in _PERCENTILES:
        if values.get(f"p{q}_ms") != run.percentile(q):
            raise damaged(where, f"p{q}_ms does not follow from the samples", remake=_REMAKE)
    return run
