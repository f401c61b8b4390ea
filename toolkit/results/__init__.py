"""Hand results to another program: one JSON line a frame, to a file, a socket or an MQTT broker."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from toolkit.camera.uri import camera_uri, did_you_mean
from toolkit.errors import InputError
from toolkit.lazy import load
from toolkit.top_k import Guess

__all__ = ["SINKS", "Result", "ResultSink", "open_results", "result_line"]

SINKS = {
    "-": "toolkit.results.file:open_stdout",
    "file": "toolkit.results.file:open_lines_file",
    "unix": "toolkit.results.unix:open_unix_socket",
    "mqtt": "toolkit.results.mqtt:open_mqtt",
}
"""Where results can go -> what opens it: `open_*(where)`, a context manager; `file` is any path."""

_INSTALL = {"mqtt": "pip install 'edgekit[mqtt]'"}


@dataclass(frozen=True)
class Result:
    """What the engine said about one frame, and how old the frame was by then.

    With smoothing, `top` follows from the mean of the probabilities of the last `smoothed_over`
    frames, the oldest of which was captured `smoothed_span_ms` before this one. The ages are those
    of this frame, the newest. `uncertain` says that the best guess is below what was asked for.
    `activation_map` is for views, of engines that give it: of this frame's own winner, (height,
    width) over the part of the frame that the network sees.
    """

    index: int
    captured_at_s: float
    timestamp_origin: str
    frame_age_ms: float
    capture_to_result_ms: float
    top: tuple[Guess, ...]
    uncertain: bool = False
    smoothed_over: int = 1
    smoothed_span_ms: float = 0.0
    activation_map: NDArray[np.float32] | None = field(default=None, compare=False, repr=False)


class ResultSink(Protocol):
    """Takes results; `put` returns at once."""

    @property
    def lost(self) -> int:
        """Return how many results the reader was too slow for, or was not there for."""

    def put(self, result: Result) -> None:
        """Take one result. Raises MachineError when none can be delivered any more."""
        ...


def result_line(result: Result, *, wall_s: float) -> str:
    """Return the JSON line; `wall_s` is the time of day at which the result was ready."""
    values = {
        "index": result.index,
        "time": round(wall_s - result.capture_to_result_ms / 1e3, 6),
        "captured_at_s": round(result.captured_at_s, 6),
        "timestamp_origin": result.timestamp_origin,
        "frame_age_ms": round(result.frame_age_ms, 3),
        "capture_to_result_ms": round(result.capture_to_result_ms, 3),
        "uncertain": result.uncertain,
        "smoothed_over": result.smoothed_over,
        "smoothed_span_ms": round(result.smoothed_span_ms, 3),
        "top": [
            {
                "index": guess.index,
                "label": guess.label,
                "id": guess.id,
                "confidence": round(guess.confidence, 6),
            }
            for guess in result.top
        ],
    }
    return json.dumps(values) + "\n"


@contextmanager
def open_results(where: str) -> Iterator[ResultSink]:
    """Yield the sink that `where` names: `-` (standard output), unix:SOCKET, mqtt://... or a path.

    Raises InputError for an unknown scheme, MachineError when nothing can be delivered there.
    """
    kind = _kind(where)
    if kind not in SINKS:
        raise InputError(
            f"Results cannot go to {camera_uri(where).text!r}: unknown scheme {kind!r}"
            f"{did_you_mean(kind, SINKS)}",
            next_command="edgekit live ENGINE --camera URI --results results.jsonl",
        )
    opener: Callable[[str], AbstractContextManager[ResultSink]] = load(
        SINKS[kind],
        what=f"Results to {kind}",
        install=_INSTALL.get(kind, "pip install edgekit"),
    )
    with opener(where) as sink:
        yield sink


def _kind(where: str) -> str:
    if where == "-" or where.startswith("unix:"):
        return where.partition(":")[0]
    scheme, separator, _ = where.partition("://")
    return scheme if separator else "file"
