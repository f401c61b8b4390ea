"""The order in which layers go to float under a latency budget: error removed per millisecond."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from toolkit.tune.layer_times import LayerTimes

__all__ = ["LatencyPlan", "plan_within"]

_RESOLVED, _RESOLVED_MS = 0.002, 0.001
"""Costs below this share of the INT8 latency, or below the microsecond in which ONNX Runtime's
profiler counts, are taken for equal."""


@dataclass(frozen=True)
class LatencyPlan:
    """Candidate k keeps the first k of `order` in float and is predicted to take `predicted_ms[k]`.

    Candidates from `fewest` on are predicted to be within the limit, if `reached`; else `fewest` is
    the fastest of them and the only one worth a look. `left_out` layers would exceed the limit.
    """

    order: tuple[str, ...]
    predicted_ms: tuple[float, ...]
    fewest: int
    reached: bool
    left_out: int


def plan_within(limit_ms: float, times: LayerTimes, errors: Mapping[str, float]) -> LatencyPlan:
    """Return the candidates within `limit_ms`, from the error that each layer makes in INT8.

    The order is greedy: the most error per millisecond first, and what no longer fits is passed
    over; the layer with the least error stays INT8, as one must. Where INT8 alone exceeds the
    limit, layers that are faster in float come first until it is reached. Layers without times
    never are in the order.
    """
    smallest = max(_RESOLVED * times.int8_ms, _RESOLVED_MS)
    spare = min(errors, key=lambda name: errors[name])
    timed = [name for name in errors if name in times.added_ms and name != spare]
    worth = {name: errors[name] / max(times.added_ms[name], smallest) for name in timed}
    ranked = sorted(timed, key=lambda name: -worth[name])  # stable: equal ones stay by error
    first, total = _faster_in_float(limit_ms, times, ranked)
    reached, left_out = total <= limit_ms, 0
    order = list(first)
    for name in ranked if reached else ():
        if name in first:
            continue
        if total + times.added_ms[name] <= limit_ms:
            order.append(name)
            total += times.added_ms[name]
        else:
            left_out += 1
    return LatencyPlan(
        order=tuple(order),
        predicted_ms=_running(times, order),
        fewest=len(first),
        reached=reached,
        left_out=left_out,
    )


def _faster_in_float(
    limit_ms: float, times: LayerTimes, ranked: Sequence[str]
) -> tuple[list[str], float]:
    """Return the layers that must be float for the limit's sake, and the latency with them."""
    chosen: list[str] = []
    total = times.int8_ms
    for name in ranked:
        if total <= limit_ms:
            break
        if times.added_ms[name] < 0.0:
            chosen.append(name)
            total += times.added_ms[name]
    return chosen, total


def _running(times: LayerTimes, order: Sequence[str]) -> tuple[float, ...]:
    sums = [times.int8_ms]
    for name in order:
        sums.append(sums[-1] + times.added_ms[name])
    return tuple(sums)
