"""The live loop against the engine alone: saturated, paced, and over many frames.

    python -m benchmarks.live model.int8.cpu.onnx [model.fp32.cpu.onnx ...]

Saturated: rounds of back-to-back inference and of the loop on a 640x480 clip take turns, so that
what disturbs the machine disturbs both; the ratio is of frames per second. At one thread a third
turn has back-to-back inference while another process decodes and prepares frames at the loop's
rate: what a busy second core costs, without any loop. The first engine is also run paced: the clip
at 30 frames a second, capture-to-result against the sum of its inference and preprocessing.
Memory: the growth of the process over 10,000 frames. Preprocessing alone: benchmarks/preprocess.py.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from benchmarks.conditions import busy_s
from targets.conditions import advice, read_conditions
from toolkit.artifacts import digest_of_file
from toolkit.atomic import write_text
from toolkit.camera import open_camera
from toolkit.camera.clip import write_clip
from toolkit.live import run_live
from toolkit.live.summary import spread_of
from toolkit.runtime import Session, open_session
from toolkit.runtime.session import inference_of
from toolkit.statistics import Ratio, ratio_of_medians

__all__ = ["main"]


def pictures(width: int, height: int, n: int) -> Iterator[NDArray[np.uint8]]:
    coarse = np.random.default_rng(0).integers(0, 256, (height // 16, width // 16, 3), np.uint8)
    base = np.asarray(Image.fromarray(coarse).resize((width, height)))
    return (np.roll(base, 4 * i, axis=1) for i in range(n))


def back_to_back(session: Session, batch: NDArray[np.float32], n: int) -> tuple[float, list[float]]:
    """Return frames per second between the first and the last answer, and each one's ms.

    The batch is made ready once: that is part of the loop's preprocessing.
    """
    infer = inference_of(session, batch)
    ends, times = [], []
    for _ in range(n):
        start = time.monotonic()
        infer()
        ends.append(time.monotonic())
        times.append((ends[-1] - start) * 1e3)
    return (n - 1) / (ends[-1] - ends[0]), times


@contextmanager
def neighbour(engine: Path, clip: Path, fps: float) -> Iterator[None]:
    """Let another process do what the loop does beside the engine, at `fps` frames a second."""
    command = [sys.executable, "-m", "benchmarks.live_neighbour", str(engine), str(clip), str(fps)]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True) as process:
        assert process.stdout is not None
        process.stdout.readline()  # it has imported, and prepared a frame
        yield
        if process.poll() is not None:
            raise SystemExit("the neighbour ended early")


def saturated(
    engine: Path, clip: Path, *, threads: int, frames: int, rounds: int
) -> dict[str, Any]:
    loops, alone, beside, cores, others, lines = [], [], [], [], [], []
    with open_session(engine, threads=threads) as session:
        batch = np.zeros((1, *session.contract.input_shape[1:]), np.float32)
        back_to_back(session, batch, frames)
        for _ in range(rounds):
            machine_s, own_s, wall_s = busy_s(), time.process_time(), time.monotonic()
            before, _times = back_to_back(session, batch, frames // 2)
            with open_camera(f"file://{clip}?loop=1", paced=False) as camera:
                summary = run_live(session, camera, frames=frames, policy="queue", warmup=1)
            after, _times = back_to_back(session, batch, frames // 2)
            foreign_s = busy_s() - machine_s - (time.process_time() - own_s)
            others.append(foreign_s / (time.monotonic() - wall_s))
            loops.append(summary.fps)
            alone.append(2 / (1 / before + 1 / after))
            cores.append(summary.cpu_cores_used)
            lines = summary.lines()
            if threads == 1:
                with neighbour(engine, clip, summary.fps):
                    beside.append(back_to_back(session, batch, frames)[0])
    # Seconds a frame: a ratio of fps is the inverse of a ratio of times.
    ratio = ratio_of_medians(1 / np.array([loops]).T, 1 / np.array([alone]).T)
    busy = ratio_of_medians(1 / np.array([beside]).T, 1 / np.array([alone]).T) if beside else None
    return {
        "engine": engine.name,
        "digest": digest_of_file(engine),
        "threads": threads,
        "loop_fps": loops,
        "back_to_back_fps": alone,
        "cpu_cores_used": float(np.median(cores)),
        "cores_used_by_others": others,
        "throughput_ratio": as_values(ratio),
        "beside_neighbour_fps": beside,
        "beside_neighbour_ratio": as_values(busy) if busy else None,
        "last_round": lines,
    }


def paced(engine: Path, clip: Path, *, threads: int, spin: bool, frames: int) -> dict[str, Any]:
    with open_session(engine, threads=threads, spin=spin) as session:
        batch = np.zeros((1, *session.contract.input_shape[1:]), np.float32)
        back_to_back(session, batch, 30)
        _fps, alone = back_to_back(session, batch, 200)
        with open_camera(f"file://{clip}?loop=1&fps=30") as camera:
            summary = run_live(session, camera, frames=frames)
    stages = summary.stages_ms
    sum_ms = stages["infer"].p50 + stages["preprocess"].p50
    return {
        "threads": threads,
        "spin": spin,
        "capture_to_result_p50_ms": summary.capture_to_result_ms.p50,
        "infer_p50_plus_preprocess_p50_ms": sum_ms,
        "overhead_ms": summary.capture_to_result_ms.p50 - sum_ms,
        "infer_back_to_back_p50_ms": spread_of(alone).p50,
        "overhead_over_back_to_back_ms": summary.capture_to_result_ms.p50
        - spread_of(alone).p50
        - stages["preprocess"].p50,
        "summary": {**summary.to_dict(raw=True), "camera": f"file://{clip.name}?loop=1&fps=30"},
    }


def memory(engine: Path, *, frames: int) -> dict[str, Any]:
    def run(n: int) -> None:
        with open_camera("synthetic://640x480", paced=False) as camera:
            run_live(session, camera, frames=n, policy="queue", warmup=0)

    with open_session(engine, threads=1) as session:
        run(frames // 20)
        before = resident_mib()
        run(frames)
    return {"frames": frames, "rss_growth_mib": resident_mib() - before}


def resident_mib() -> float:
    status = Path("/proc/self/status").read_text(encoding="ascii")
    return int(status.partition("VmRSS:")[2].split()[0]) / 1024


def as_values(ratio: Ratio) -> dict[str, float]:
    return {"value": ratio.value, "low": ratio.interval.low, "high": ratio.interval.high}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("engines", type=Path, nargs="+", metavar="ENGINE")
    parser.add_argument("--out", type=Path, default=Path("benchmarks/results/live.json"))
    parser.add_argument("--quick", action="store_true", help="a tenth of the work: a smoke test")
    arguments = parser.parse_args()
    engine: Path = arguments.engines[0]
    part = 10 if arguments.quick else 1
    before = read_conditions()
    cores = int(before.core_limit or before.cores or 1)
    with tempfile.TemporaryDirectory() as folder:
        clip = Path(folder) / "clip.mp4"
        write_clip(pictures(640, 480, 300), clip)
        runs = {
            "saturated": [
                saturated(each, clip, threads=threads, frames=300 // part, rounds=20)
                for each in arguments.engines
                for threads in sorted({1, cores})
            ],
            "paced": [
                paced(engine, clip, threads=threads, spin=spin, frames=1000 // part)
                for threads in sorted({1, cores})
                for spin in (False, True)
            ],
        }
    values = {
        "command": " ".join(["python -m benchmarks.live", *sys.argv[1:]]),
        "engine": engine.name,
        "digest": digest_of_file(engine),
        **runs,
        "memory": memory(engine, frames=10_000 // part),
        "conditions": {"before": asdict(before), "after": asdict(read_conditions())},
        "advice": advice(before),
    }
    write_text(arguments.out, json.dumps(values, indent=1) + "\n")
    for line in report(values):
        print(line)


def report(values: dict[str, Any]) -> Iterator[str]:
    for run in values["saturated"]:
        ratio = run["throughput_ratio"]
        yield (
            f"saturated, {run['engine']}, {run['threads']} threads: loop / back-to-back "
            f"{ratio['value']:.3f} [{ratio['low']:.3f}, {ratio['high']:.3f}]  (wanted >= 0.97; "
            f"others used {np.median(run['cores_used_by_others']):.2f} cores)"
        )
        if busy := run["beside_neighbour_ratio"]:
            yield (
                "  back-to-back beside a process that decodes and prepares: "
                f"{busy['value']:.3f} [{busy['low']:.3f}, {busy['high']:.3f}]"
            )
    for run in values["paced"]:
        yield (
            f"paced, {run['threads']} threads, spin {run['spin']}: capture-to-result p50 "
            f"{run['capture_to_result_p50_ms']:.2f} ms = inference + preprocessing + "
            f"{run['overhead_ms']:.2f} ms (wanted <= 1), "
            f"{run['summary']['cpu_cores_used']:.2f} cores"
        )
    growth = values["memory"]
    yield f"memory: {growth['rss_growth_mib']:+.1f} MiB over {growth['frames']} frames"
    if values["advice"]:
        yield f"not a calm machine: {values['advice']}"


if __name__ == "__main__":
    main()
