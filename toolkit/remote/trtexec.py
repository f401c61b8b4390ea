"""What trtexec prints and writes, TensorRT 8.0 to 11.1: text in, records out.

The formats are those of samples/trtexec and samples/common/sampleReporting.cpp of NVIDIA/TensorRT
(releases 8.0.1, 8.2.1, 8.5.2, 10.3, 10.16 and 11.1). What a release has is asked of its `--help`.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from toolkit.activation_map import ACTIVATION_MAP
from toolkit.errors import InputError
from toolkit.kernel_time import KernelTime

__all__ = [
    "BuildLog",
    "LayerTime",
    "QueryTime",
    "Summary",
    "kernels_from_layers",
    "layers_from_profile",
    "output_from_json",
    "read_build_log",
    "read_summary",
    "times_from_json",
    "version_from_banner",
]

_BANNER = re.compile(r"&&&& RUNNING TensorRT\.trtexec \[TensorRT v(\d{4,6})\]")
_VERSION = re.compile(r"\[I\] TensorRT version: (\d+(?:\.\d+)+)")
_LINE = re.compile(r"^(?:\[[^\]]*\] )?\[([FEWIV])\] (?:\[TRT\] )?(.*)$", re.MULTILINE)
_ENDED = re.compile(r"&&&& (PASSED|FAILED) TensorRT\.trtexec")
_BUILT = re.compile(r"Engine built in ([\d.eE+-]+) sec")
_LOADED = re.compile(r"Engine (?:loaded|deserialized) in ([\d.eE+-]+) sec")
_DEVICE = re.compile(r"\[I\] Selected Device: (.+)$", re.MULTILINE)
_ROW = re.compile(
    r"\[I\] (Latency|Enqueue Time|H2D Latency|GPU Compute Time|D2H Latency): (min = .+)$",
    re.MULTILINE,
)
_FIGURE = re.compile(r"(min|max|mean|median|percentile\([\d.]+%\)) = ([\d.eE+-]+) ms")
_THROUGHPUT = re.compile(r"\[I\] Throughput: ([\d.eE+-]+) qps")
_AGAIN = "edgekit measure ENGINE --host USER@HOST"


@dataclass(frozen=True)
class BuildLog:
    """What a log of one run says. `passed` is None where it ends in the middle."""

    tensorrt: str
    passed: bool | None
    device: str
    build_s: float | None
    load_s: float | None
    """Reading and deserialising the engine, added up."""
    warnings: tuple[str, ...]
    errors: tuple[str, ...]


@dataclass(frozen=True)
class QueryTime:
    """One query. `latency_ms` is H2D + GPU compute + D2H, without any queueing."""

    start_compute_ms: float
    h2d_ms: float
    compute_ms: float
    d2h_ms: float
    latency_ms: float
    enqueue_ms: float


@dataclass(frozen=True)
class LayerTime:
    """How long a layer takes on average."""

    name: str
    average_ms: float
    percentage: float
    median_ms: float | None = None
    """None where a version writes the average alone, as 8.2 does."""


@dataclass(frozen=True)
class Summary:
    """The performance summary: row to figure to milliseconds, "Latency" to "median" to 1.2."""

    throughput_qps: float
    rows: dict[str, dict[str, float]]


def version_from_banner(text: str) -> str | None:
    """Return the TensorRT version in a log: [TensorRT v8201] is 8.2.1, v100300 is 10.3.0."""
    match = _BANNER.search(text)
    if match:
        number = int(match[1])
        # Major * 1000 + minor * 100 + patch until TensorRT 9, major * 10000 since 10.
        major, rest = divmod(number, 10000 if len(match[1]) > 4 else 1000)
        return f"{major}.{rest // 100}.{rest % 100}"
    match = _VERSION.search(text)
    return match[1] if match else None


def read_build_log(text: str) -> BuildLog:
    """Return what the log of a build or of a run says."""
    said = [(match[1], match[2].strip()) for match in _LINE.finditer(text)]
    ended = _ENDED.findall(text)
    built, device = _BUILT.findall(text), _DEVICE.search(text)
    loads = [float(seconds) for seconds in _LOADED.findall(text)]
    return BuildLog(
        tensorrt=version_from_banner(text) or "",
        passed=ended[-1] == "PASSED" if ended else None,
        device=device[1].strip() if device else "",
        build_s=float(built[-1]) if built else None,
        load_s=math.fsum(loads) if loads else None,
        warnings=tuple(dict.fromkeys(line for kind, line in said if kind == "W" and line)),
        errors=tuple(dict.fromkeys(line for kind, line in said if kind in "FE" and line)),
    )


def read_summary(text: str) -> Summary:
    """Return the performance summary of a log. Raises InputError when there is none."""
    throughput = _THROUGHPUT.search(text)
    rows = {
        row: {name: float(value) for name, value in _FIGURE.findall(figures)}
        for row, figures in _ROW.findall(text)
    }
    if throughput is None or "Latency" not in rows:
        raise InputError(
            "trtexec printed no performance summary: its run did not end.", next_command=_AGAIN
        )
    return Summary(float(throughput[1]), rows)


def times_from_json(text: str, *, warmup_ms: float) -> tuple[QueryTime, ...]:
    """Return the queries of an `--exportTimes` file that started after the warm-up.

    TensorRT 8 writes the warm-up, too, later ones leave it out; the rule is trtexec's own: a
    query counts when its computation starts after `warmup_ms`. Raises InputError for other files.
    """
    try:
        times = tuple(_query(values) for values in json.loads(text))
    except (ValueError, KeyError, TypeError) as error:
        raise InputError(
            f"The times that trtexec wrote cannot be read ({type(error).__name__}: {error}).",
            next_command=_AGAIN,
        ) from error
    return tuple(time for time in times if time.start_compute_ms >= warmup_ms)


def layers_from_profile(text: str) -> tuple[LayerTime, ...]:
    """Return the layers of an `--exportProfile` file, in its order. Raises InputError."""
    try:
        layers = tuple(
            LayerTime(
                name=str(row["name"]),
                average_ms=float(row["averageMs"]),
                percentage=float(row["percentage"]),
                median_ms=float(row["medianMs"]) if "medianMs" in row else None,
            )
            for row in json.loads(text)
            if "name" in row  # the first entry is the count of iterations
        )
    except (ValueError, KeyError, TypeError) as error:
        raise InputError(
            f"The profile that trtexec wrote cannot be read ({type(error).__name__}: {error}).",
            next_command=_AGAIN,
        ) from error
    return layers


def kernels_from_layers(layers: Sequence[LayerTime]) -> tuple[KernelTime, ...]:
    """Return the layers as kernels; trtexec says neither what they compute nor how precisely."""
    times = [each.average_ms if each.median_ms is None else each.median_ms for each in layers]
    total = math.fsum(times) or 1.0
    return tuple(
        KernelTime(each.name, operator="", precision="", median_ms=ms, share=ms / total)
        for each, ms in zip(layers, times, strict=True)
    )


def output_from_json(text: str) -> tuple[tuple[int, ...], list[float]]:
    """Return shape and values of the logits in an `--exportOutput` file.

    Raises InputError when the file holds something else.
    """
    try:
        (output,) = (each for each in json.loads(text) if each.get("name") != ACTIVATION_MAP)
        shape = tuple(int(size) for size in str(output["dimensions"]).split("x"))
        values = [float(value) for value in output["values"]]
        if math.prod(shape) != len(values):
            raise ValueError(f"{len(values)} values for {output['dimensions']}")
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise InputError(
            f"The outputs that trtexec wrote cannot be read ({type(error).__name__}: {error}).",
            next_command=_AGAIN,
        ) from error
    return shape, values


def _query(values: dict[str, Any]) -> QueryTime:
    return QueryTime(
        start_compute_ms=float(values["startComputeMs"]),
        h2d_ms=float(values["h2dMs"]),
        compute_ms=float(values["computeMs"]),
        d2h_ms=float(values["d2hMs"]),
        latency_ms=float(values["latencyMs"]),
        enqueue_ms=float(values["endEnqMs"]) - float(values["startEnqMs"]),
    )
