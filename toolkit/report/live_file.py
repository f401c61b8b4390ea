"""Read `*.live.json`: the summary that `edgekit live --out` writes."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from toolkit.record_file import damaged
from toolkit.report.model import LiveRun, Percentiles

__all__ = ["LIVE_KEYS", "live_from_dict", "live_samples"]

LIVE_KEYS = frozenset({"camera", "policy", "capture_to_result_ms", "stages_ms"})
"""A JSON object with these keys is a live summary."""

_REMAKE = "edgekit live ENGINE --camera URI --out FILE.live.json"


def live_from_dict(values: Mapping[str, Any], *, where: Path) -> LiveRun:
    """Return the run that `LiveSummary.to_dict` described; `where` names the file for the error.

    Raises InputError when values are missing or of the wrong kind.
    """
    try:
        conditions = values.get("conditions") or {}
        age = values.get("frame_age_ms")
        fps = values["fps"]
        return LiveRun(
            engine=str(values.get("engine") or conditions.get("engine") or where.name),
            camera=str(values["camera"]),
            policy=str(values["policy"]),
            frames=int(values["frames"]),
            dropped=int(values["dropped"]),
            fps=None if fps is None else float(fps),
            capture_to_result_ms=_percentiles(values["capture_to_result_ms"]),
            stages_ms=tuple(
                (str(name).replace("_", " "), _percentiles(times))
                for name, times in values["stages_ms"].items()
            ),
            frame_age_ms=_percentiles(age) if age else None,
            timestamp_origin=str(values["timestamp_origin"]),
            samples=int(values.get("samples", values["frames"])),
        )
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise damaged(where, f"{type(error).__name__}: {error}", remake=_REMAKE) from error


def live_samples(values: Mapping[str, Any], *, where: Path) -> tuple[float, ...]:
    """Return capture-to-result of every frame, the sum of its stages; empty without raw samples.

    Raises InputError when the stages do not have a time for every frame.
    """
    try:
        stages = [list(map(float, times)) for times in values.get("samples_ms", {}).values()]
        frames = tuple(math.fsum(times) for times in zip(*stages, strict=True))
    except (TypeError, ValueError, AttributeError) as error:
        raise damaged(where, f"{type(error).__name__}: {error}", remake=_REMAKE) from error
    if not all(math.isfinite(time) for time in frames):
        raise damaged(where, "times that are not finite", remake=_REMAKE)
    return frames


def _percentiles(values: Mapping[str, Any]) -> Percentiles:
    p50, p95, p99 = (
        None if values[name] is None else float(values[name]) for name in ("p50", "p95", "p99")
    )
    return Percentiles(p50, p95, p99)
