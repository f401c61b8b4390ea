"""What a page is told each time it asks: figures as JSON, then the picture, and when to ask again.

All viewers share a budget of requests, so that twenty tabs cost the loop what one costs.
"""

from __future__ import annotations

import json
import math
import struct
import time
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from targets.conditions import Conditions
from toolkit.live.newest_answer import HISTORY_S, NewestAnswer, Point
from toolkit.live.samples import STAGES
from toolkit.preprocess import Preprocess
from toolkit.web.picture import Pictures

__all__ = ["Updates"]

_UPDATES_PER_S = 20  # of all viewers together
_SHORTEST_WAIT_MS, _LONGEST_WAIT_MS = 90, 2000
_GONE_S = 5.0
_MOST_VIEWERS = 1000


class Updates:
    """Answers for one run. For one thread, the server's."""

    def __init__(
        self,
        newest: NewestAnswer,
        *,
        engine: str,
        camera: str,
        conditions: Callable[[], Conditions | None],
        preprocess: Preprocess | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._newest = newest
        self._fixed = {"engine": engine, "camera": camera, "stages": list(STAGES)}
        self._conditions = conditions
        self._preprocess = preprocess
        self._clock = clock
        self._pictures = Pictures(clock=clock)
        self._seen_s: dict[str, float] = {}

    def update(self, *, viewer: str, run: str, after: int, picture: int) -> bytes:
        """Return the length of the JSON (4 bytes, big-endian), the JSON and the JPEG, or no JPEG.

        `viewer` tells tabs apart; `after` is the last point and `picture` the last picture that
        the page has of `run`; -1 for none, -2 when it wants no picture.
        """
        if run != self._newest.run:
            after, picture = -1, min(picture, -1)
        index, jpeg = self._picture(picture)
        state = self._state(after)
        state["picture"] = index
        state["wait_ms"] = self._wait_ms(viewer)
        text = json.dumps(state).encode()
        return struct.pack(">I", len(text)) + text + jpeg

    def _picture(self, has: int) -> tuple[int, bytes]:
        shown = self._newest.shown
        if shown is None or has == -2:
            return has, b""
        index, jpeg = self._pictures.newest(shown.frame)
        return (index, jpeg) if index != has else (has, b"")

    def _state(self, after: int) -> dict[str, Any]:
        shown = self._newest.shown
        state = {
            **self._fixed,
            "run": self._newest.run,
            "history_s": HISTORY_S,
            "points": [_values(point) for point in self._newest.points(after)],
            "now_s": round(self._clock(), 3),
            "fps": self._newest.fps(),
            "machine": _machine(self._conditions()),
            "answer": None,
        }
        if shown is not None:
            result = shown.result
            state["answer"] = {
                "index": result.index,
                "width": shown.frame.image.shape[1],
                "height": shown.frame.image.shape[0],
                "origin": result.timestamp_origin,
                "frame_age_ms": _number(result.frame_age_ms),
                "capture_to_result_ms": _number(result.capture_to_result_ms),
                "stages_ms": [_number(stage) for stage in shown.stages_ms],
                "answered": shown.answered,
                "passed_over": shown.passed_over,
                "uncertain": result.uncertain,
                "smoothed_over": result.smoothed_over,
                "map": _map(result.activation_map, shown.frame.image.shape, self._preprocess),
                "top": [
                    {"label": guess.label, "confidence": _number(guess.confidence)}
                    for guess in result.top
                ],
            }
        return state

    def _wait_ms(self, viewer: str) -> int:
        now = self._clock()
        self._seen_s[viewer] = now
        gone = [name for name, seen_s in self._seen_s.items() if now - seen_s > _GONE_S]
        for name in gone:
            del self._seen_s[name]
        while len(self._seen_s) > _MOST_VIEWERS:
            del self._seen_s[next(iter(self._seen_s))]
        shared_ms = 1000 * len(self._seen_s) / _UPDATES_PER_S
        return int(min(max(shared_ms, _SHORTEST_WAIT_MS), _LONGEST_WAIT_MS))


def _map(
    values: NDArray[np.float32] | None, frame: tuple[int, ...], preprocess: Preprocess | None
) -> dict[str, Any] | None:
    """Return an activation map, its highest value 255, and where it lies in the frame.

    Below 0 speaks against the class: shown as 0. The region is in fractions of the frame's width
    and height; where the network sees more than the frame, it reaches beyond 0 and 1.
    """
    if values is None or preprocess is None or not np.isfinite(values).all():
        return None
    height, width = frame[:2]
    region = preprocess.region(width, height)
    highest = max(float(values.max()), 1e-9)
    levels = np.rint(np.clip(values / highest, 0.0, 1.0) * 255.0).astype(int)
    return {
        "rows": levels.tolist(),
        "region": [
            region.left / width,
            region.top / height,
            region.right / width,
            region.bottom / height,
        ],
    }


def _values(point: Point) -> list[float | None]:
    """Return number, time, frame age, capture-to-result and the stages."""
    times = (point.frame_age_ms, point.capture_to_result_ms, *point.stages_ms)
    return [point.number, round(point.at_s, 3), *map(_number, times)]


def _machine(conditions: Conditions | None) -> dict[str, Any]:
    """Return what the page shows of the machine; null for what it cannot tell."""
    if conditions is None:
        return {}
    c = conditions
    heat = c.gpu_temperature_c if c.gpu_temperature_c is not None else c.temperature_c
    return {
        "name": c.gpu or c.machine or c.cpu_model or c.arch,
        "temperature_c": heat,
        "power_w": c.gpu_power_w,
        "throttled": c.throttled or c.gpu_throttled,
        "load": c.load_1min,
        "power_mode": c.power_mode,
    }


def _number(value: float) -> float | None:
    return round(value, 3) if math.isfinite(value) else None
