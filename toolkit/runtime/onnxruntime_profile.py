"""Time every kernel of an engine with ONNX Runtime's profiler, in a run apart from the timing run.

The profiler makes an inference slower, by about a microsecond a kernel: shares mean more than sums.
"""

from __future__ import annotations

import json
from collections import defaultdict
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from numpy.typing import NDArray

from toolkit.kernel_time import KernelTime
from toolkit.runtime import open_runnable
from toolkit.runtime.onnxruntime import open_float_session, open_session

__all__ = ["kernel_times", "kernel_times_from_profile"]

_WARMUP, _RUNS = 5, 30
_KERNEL = "_kernel_time"
_NAMES = {
    "float": "fp32",
    "float16": "fp16",
    "bfloat16": "bf16",
    "double": "fp64",
    "uint8": "int8",
    "int8": "int8",
}


def kernel_times(
    path: Path, inputs: NDArray[np.float32], *, threads: int, backend: str
) -> tuple[KernelTime, ...]:
    """Return the kernels that `backend` (a row of RUNTIMES for ONNX Runtime) runs, in their order.

    Medians of 30 inferences after five. Raises what opening and running a session raise.
    """
    opener = open_float_session if backend == "onnxruntime-float" else open_session
    with TemporaryDirectory(prefix="edgekit-profile-") as folder:
        source = open_runnable(path)
        with opener(source, threads=threads, spin=True, profile=Path(folder) / "run") as session:
            for _ in range(_WARMUP + _RUNS):
                session.infer(inputs)
            events = json.loads(session.end_profiling().read_text(encoding="utf-8"))
    return kernel_times_from_profile(events, warmup=_WARMUP)


def kernel_times_from_profile(
    events: list[dict[str, Any]], *, warmup: int
) -> tuple[KernelTime, ...]:
    """Return the median of each kernel over the inferences after the first `warmup`."""
    taken: dict[tuple[str, str], list[float]] = defaultdict(list)
    first: dict[tuple[str, str], dict[str, Any]] = {}
    for event in events:
        if event.get("cat") == "Node" and str(event["name"]).endswith(_KERNEL):
            key = (str(event["args"]["node_index"]), str(event["name"]))
            taken[key].append(float(event["dur"]) / 1e3)  # microseconds
            first.setdefault(key, event)
    medians = {key: median(times[warmup:] or times) for key, times in taken.items()}
    total = sum(medians.values()) or 1.0
    return tuple(
        KernelTime(
            name=name.removesuffix(_KERNEL),
            operator=str(first[index, name]["args"]["op_name"]),
            precision=_precision(first[index, name]["args"]),
            median_ms=medians[index, name],
            share=medians[index, name] / total,
        )
        for index, name in medians
    )


def _precision(arguments: dict[str, Any]) -> str:
    reads, writes = (_type(arguments[f"{side}_type_shape"]) for side in ("input", "output"))
    return reads if reads == writes or not writes else f"{reads} -> {writes}"


def _type(tensors: list[dict[str, Any]]) -> str:
    """Return the precision of the first tensor: weights and scales come after it."""
    name = next((name for tensor in tensors for name in tensor), "")
    return _NAMES.get(name, name)
