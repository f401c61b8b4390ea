"""How much slower one run is than another, and what else differs between the two."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import asdict, dataclass, fields
from typing import Any

import numpy as np

from toolkit.ledger.entry import Entry, Settings
from toolkit.statistics import Interval, quantile_interval, ratio_of_medians

__all__ = ["Difference", "difference_between"]


@dataclass(frozen=True)
class Difference:
    """`ratio` is p50 of b over p50 of a. `paired`: they took turns, so that drift cancels.

    `unlike` names every setting that differs, or that only one of them states.
    """

    a: Entry
    b: Entry
    ratio: float
    interval: Interval
    paired: bool
    unlike: tuple[str, ...]

    def line(self) -> str:
        """Return the difference as one line."""
        low, high = self.interval.to_list()
        known = f" ({low:.3f} to {high:.3f})" if low is not None and high is not None else ""
        how = "in turns" if self.paired else "not in turns: drift of the machine is in it"
        unlike = f"  UNLIKE RUNS: {'; '.join(self.unlike)}" if self.unlike else ""
        return (
            f"{self.b.id} takes {self.ratio:.3f}{known} times as long as {self.a.id} (p50 "
            f"{self.a.p50_ms:.3f} -> {self.b.p50_ms:.3f} ms, {how}){unlike}"
        )

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON values."""
        return {
            "a": self.a.id,
            "b": self.b.id,
            "p50_ms_a": self.a.p50_ms,
            "p50_ms_b": self.b.p50_ms,
            "ratio": self.ratio,
            "ratio_interval": self.interval.to_list(),
            "paired": self.paired,
            "unlike": list(self.unlike),
            "settings_a": asdict(self.a.settings),
            "settings_b": asdict(self.b.settings),
        }


def difference_between(a: Entry, b: Entry) -> Difference:
    """Return the ratio of the medians with its 95 % interval, which is open without samples."""
    unlike = tuple(_unlike(a.settings, b.settings))
    if a.run and a.run == b.run and a.block == b.block and len(a.samples_ms) == len(b.samples_ms):
        blocks = [np.asarray(each.samples_ms).reshape(-1, each.block) for each in (a, b)]
        ratio = ratio_of_medians(blocks[0], blocks[1])
        return Difference(a, b, ratio.value, ratio.interval, True, unlike)
    return Difference(a, b, b.p50_ms / a.p50_ms, _apart(a, b), False, unlike)


def _apart(a: Entry, b: Entry) -> Interval:
    """Return what the ratio can be when each median lies in its own interval: wider than 95 %."""
    if not a.samples_ms or not b.samples_ms:
        return Interval(-math.inf, math.inf)
    first, second = (quantile_interval(each.samples_ms, 50) for each in (a, b))
    if not all(math.isfinite(end) for each in (first, second) for end in (each.low, each.high)):
        return Interval(-math.inf, math.inf)
    return Interval(second.low / first.high, second.high / first.low)


def _unlike(a: Settings, b: Settings) -> Iterator[str]:
    if "unknown" in (a.device, b.device):
        yield f"device {a.device} and {b.device}"
    for each in fields(Settings):
        one, other = getattr(a, each.name), getattr(b, each.name)
        if one != other and "unknown" not in (one, other):
            name = each.name.replace("_", " ")
            yield f"{name} {_text(one)} and {_text(other)}"


def _text(value: Any) -> str:
    if value is None:
        return "unknown"
    return {True: "on", False: "off"}[value] if isinstance(value, bool) else str(value)
