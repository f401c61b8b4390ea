"""Logs and times as trtexec writes them; the lines are those of sampleOptions.cpp and
sampleReporting.cpp."""

from __future__ import annotations

import json

__all__ = ["log_of", "times_of"]

_BANNERS = {"8.5.2": "v8502", "10.3.0": "v100300", "11.1.0": "v110100"}


def log_of(
    version: str = "10.3.0",
    *,
    engine: str = "net.int8.engine",
    graph: bool = False,
    spin: bool = False,
    transfers: bool = True,
    streams: int = 1,
    median: float = 2.0,
    device: str = "Orin",
) -> str:
    """The log of a run that passed."""
    on = {True: "Enabled", False: "Disabled"}
    banner = f"[TensorRT {_BANNERS[version]}] # trtexec --loadEngine=/tmp/{engine}"
    called = "Streams" if version.startswith("8") else "Inference Streams"
    said = [
        "=== Inference Options ===",
        "Batch: Explicit",
        "Input inference shape : input=1x3x224x224",
        "Iterations: 10",
        "Duration: 3s (+ 200ms warm up)",
        f"{called}: {streams}",
        "ExposeDMA: Disabled",
        f"Data transfers: {on[transfers]}",
        f"Spin-wait: {on[spin]}",
        "Multithreading: Disabled",
        f"CUDA Graph: {on[graph]}",
        "=== Device Information ===",
        f"Selected Device: {device}",
        "=== Performance summary ===",
        "Throughput: 480.1 qps",
        f"Latency: min = 1.9 ms, max = 3.1 ms, mean = 2.05 ms, median = {median:g} ms, "
        "percentile(90%) = 2.2 ms, percentile(95%) = 2.4 ms, percentile(99%) = 2.9 ms",
        "GPU Compute Time: min = 1.7 ms, max = 2.9 ms, mean = 1.85 ms, median = 1.8 ms",
    ]
    lines = [f"&&&& RUNNING TensorRT.trtexec {banner}"]
    lines += [f"[11/24/2026-12:00:00] [I] {line}" for line in said]
    return "\n".join([*lines, f"&&&& PASSED TensorRT.trtexec {banner}"]) + "\n"


def times_of(count: int = 100, *, version: str = "10.3.0", middle_ms: float = 2.0) -> str:
    """An --exportTimes file; TensorRT 8 writes the warm-up, too."""
    start = 0.0 if version.startswith("8") else 200.0
    return json.dumps(
        [
            {
                "startH2dMs": start + 10.0 * k,
                "endH2dMs": start + 10.0 * k + 0.1,
                "startComputeMs": start + 10.0 * k + 0.1,
                "endComputeMs": start + 10.0 * k + middle_ms - 0.1,
                "startD2hMs": start + 10.0 * k + middle_ms - 0.1,
                "endD2hMs": start + 10.0 * k + middle_ms,
                "startEnqMs": start + 10.0 * k,
                "endEnqMs": start + 10.0 * k + 0.2,
                "h2dMs": 0.1,
                "computeMs": middle_ms - 0.2,
                "d2hMs": 0.1,
                "latencyMs": middle_ms + 0.01 * (k % 5),
            }
            for k in range(count)
        ]
    )
