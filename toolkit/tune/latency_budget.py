"""`tune --max-latency`: which options make sense, where layer times come from, and the search."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from calibration.emit import Quantized
from targets import get
from targets.support import decide
from toolkit.errors import BuildError, InputError
from toolkit.latency import Latency, ratio_between
from toolkit.shell import quoted
from toolkit.statistics.budgets import NOT_MET
from toolkit.tune.candidate_search import Found
from toolkit.tune.latency_plan import LatencyPlan, plan_within
from toolkit.tune.layer_times import LayerTimes
from toolkit.tune.recorded_times import measure_command
from toolkit.tune.tuned_latency import TunedLatency

__all__ = ["check_latency_options", "search_within"]

_CORRECTIONS = 3
"""Searches again with what the last measurement taught, before the fastest choice is taken."""


def check_latency_options(
    model: Path, *, max_latency: float | None, times: Sequence[Path], target: str
) -> None:
    """Raise InputError for a latency budget that is none, or cannot be held against `target`."""
    plain = f"edgekit tune {quoted(model)} --images DIR"
    if max_latency is None:
        if times:
            raise InputError(
                "Layer times serve a latency budget, and there is none.",
                next_command=f"{plain} --target NAME --max-latency MS --times {quoted(times[0])}",
            )
        return
    if not (math.isfinite(max_latency) and max_latency > 0.0):
        raise InputError(
            f"A latency budget of {max_latency:g} ms is none: it is a time above 0.",
            next_command=f"{plain} --target cpu --max-latency 10",
        )
    if not target:
        raise InputError(
            "A latency budget is that of a device, and no target is named.",
            next_command=f"{plain} --target cpu --max-latency {max_latency:g}",
        )
    device = get(target)
    if not device.is_cpu:
        if not times and decide(device, precision="int8").backend == "tensorrt_rtx":
            raise InputError(
                f"{device.name} runs TensorRT-RTX, which tells no times of its layers: a latency "
                "budget cannot be held against it.",
                next_command=f"{plain} --target {target} --max-drop 1",
            )
        if not times:
            raise InputError(
                f"The latency on {device.name} cannot be predicted: no layer times measured there "
                "were given.",
                next_command=measure_command(device),
            )
        return
    if device.id != get("cpu").id:
        raise InputError(
            f"Layers are timed on this machine, a {get('cpu').id}, which says nothing about "
            f"{device.id}.",
            next_command=f"{plain} --target cpu --max-latency {max_latency:g}",
        )
    if times:
        raise InputError(
            f"Layer times for {device.id} are measured by this command itself: records are for "
            "GPU targets.",
            next_command=f"{plain} --target {target} --max-latency {max_latency:g}",
        )


def search_within(
    max_ms: float,
    times: LayerTimes,
    errors: Mapping[str, float],
    *,
    search: Callable[[LatencyPlan], Found],
    measured: Callable[[Quantized], tuple[Latency, Latency]] | None = None,
) -> tuple[Found, TunedLatency]:
    """Return the best candidate within `max_ms`, and what is known of its latency.

    `measured` gives the run of a candidate's engine, and of plain INT8 in turns with it; without it
    only the prediction stands. Where a measurement shows that the prediction was too low, the
    search is repeated with that much less, and at last the fastest choice is taken. An engine that
    cannot be built leaves the latency undecided.
    """
    limit = max_ms
    for correction in range(_CORRECTIONS + 1):
        plan = plan_within(limit, times, errors)
        found = search(plan)
        predicted = plan.predicted_ms[len(found.kept)]
        latency = TunedLatency(max_ms, predicted, plan, times, tuple(errors))
        if measured is None:
            break
        try:
            tuned, int8 = measured(found.made)
        except BuildError as error:  # the candidate is of use all the same, to be looked into
            latency = replace(latency, not_measured=str(error))
            break
        latency = replace(latency, measured=tuned, ratio=ratio_between(int8, tuned))
        if latency.verdict != NOT_MET or not plan.reached:
            break
        last = correction + 1 == _CORRECTIONS
        limit = -math.inf if last else _corrected(latency, int8.percentile(50))
    return found, latency


def _corrected(latency: TunedLatency, int8_ms: float) -> float:
    """Return the limit for the next prediction, below the last one.

    `int8_ms` was measured in turns. If float layers cost twice what was predicted, half of them
    fit; where that makes no sense, for INT8 itself is too slow, the excess is taken off.
    """
    predicted = latency.predicted_ms - latency.times.int8_ms
    seen, room = latency.measured_ms - int8_ms, latency.max_ms - int8_ms
    if predicted > 0.0 and seen > 0.0 and room >= 0.0:
        return latency.times.int8_ms + room * predicted / seen
    return latency.predicted_ms - (latency.measured_ms - latency.max_ms)
