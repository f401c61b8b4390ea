"""What each layer costs in float instead of INT8, from the kernels of two measured engines."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from calibration.graph import Graph
from toolkit.errors import InputError
from toolkit.latency import Latency
from toolkit.tune.kernel_layers import layers_of_kernels

__all__ = ["LayerTimes", "layer_times", "layer_times_from_dict"]


@dataclass(frozen=True)
class LayerTimes:
    """Times of one inference in milliseconds, of the float engine and of the all-INT8 engine.

    `added_ms` is what a layer takes longer in float; below 0 where INT8 is the slower one. The
    shares say how much of the time of all kernels could be told to belong to one layer.
    """

    float_ms: float
    """p50 of the float engine."""
    int8_ms: float
    added_ms: dict[str, float]
    float_share: float
    int8_share: float
    source: str
    """Where the times come from, in words."""
    notes: tuple[str, ...] = ()

    def remarks(self, layers: Sequence[str]) -> tuple[str, ...]:
        """Return what a reader must know of a prediction for `layers` from these times."""
        said = [
            f"layer times: {self.source}; {self.float_share:.0%} of the float kernels' time and "
            f"{self.int8_share:.0%} of the INT8 kernels' time belong to one layer each; changes of "
            "precision between layers are not predicted"
        ]
        untimed = [name for name in layers if name not in self.added_ms]
        if untimed:
            said.append(
                f"{len(untimed)} of {len(layers)} layers have no time of their own in both engines "
                f"and stay INT8: {', '.join(untimed[:5])}{', ...' if len(untimed) > 5 else ''}"
            )
        return (*said, *self.notes)

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON values, which `layer_times_from_dict` takes."""
        return asdict(self) | {"notes": list(self.notes)}


def layer_times(
    float_run: Latency,
    int8_run: Latency,
    graph: Graph,
    layers: Sequence[str],
    *,
    source: str,
    measure_again: str,
    notes: Sequence[str] = (),
) -> LayerTimes:
    """Return the times of `layers`, those that INT8 can run, from two runs with kernel times.

    `graph` is the float graph, which both engines follow in the names of its nodes. Raises
    InputError, with `measure_again` as the next command, when no layer has a time in both runs.
    """
    in_float, float_share = _by_layer(float_run, graph)
    in_int8, int8_share = _by_layer(int8_run, graph)
    both = [name for name in layers if name in in_float and name in in_int8]
    if not both:
        raise InputError(
            f"None of the {len(float_run.layers)} and {len(int8_run.layers)} kernels of "
            f"{float_run.engine} and {int8_run.engine} can be told to be one of the model's "
            f"{len(layers)} layers by its name: there are no layer times to predict from.",
            next_command=measure_again,
        )
    return LayerTimes(
        float_ms=float_run.percentile(50),
        int8_ms=int8_run.percentile(50),
        added_ms={name: in_float[name] - in_int8[name] for name in both},
        float_share=float_share,
        int8_share=int8_share,
        source=source,
        notes=tuple(notes),
    )


def layer_times_from_dict(values: dict[str, Any]) -> LayerTimes:
    """Return what `to_dict` described. Raises KeyError, TypeError or ValueError."""
    added = {str(name): float(ms) for name, ms in values["added_ms"].items()}
    names = ("float_ms", "int8_ms", "float_share", "int8_share")
    figures = {name: float(values[name]) for name in names}
    if not added or not all(map(math.isfinite, (*added.values(), *figures.values()))):
        raise ValueError("times that are none")
    notes = tuple(map(str, values["notes"]))
    return LayerTimes(added_ms=added, source=str(values["source"]), notes=notes, **figures)


def _by_layer(run: Latency, graph: Graph) -> tuple[dict[str, float], float]:
    """Return milliseconds by layer, and the share of the kernels' time they are.

    A profiled run is slower than the timed one. So kernels that add up to more than p50 are scaled
    down to it; what p50 has beyond them are copies and launches, which belong to no layer.
    """
    total = math.fsum(kernel.median_ms for kernel in run.layers)
    scale = min(1.0, run.percentile(50) / total) if total else 1.0
    owners = layers_of_kernels([each.name for each in run.layers], graph, backend=run.backend)
    times: dict[str, float] = defaultdict(float)
    for kernel, owner in zip(run.layers, owners, strict=True):
        if owner:
            times[owner] += kernel.median_ms * scale
    return dict(times), math.fsum(times.values()) / (total * scale) if total else 0.0
