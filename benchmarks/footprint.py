"""What the command costs before it does anything, and what calibration costs in memory.

    python -m benchmarks.footprint IMAGENET_DIR

Start-up: the median time of `edgekit --help` in a venv that has only the core install, made here.
Memory: the peak resident size of a whole `edgekit calibrate` process, in that venv (no torch), on
64 and on 512 images.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from benchmarks.conditions import RESULTS, write_results

__all__ = ["main"]

ROOT = Path(__file__).resolve().parent.parent


def core_venv(folder: Path) -> Path:
    """Return the `bin` of a fresh venv with only the core install."""
    subprocess.run([sys.executable, "-m", "venv", folder], check=True)
    pip = [str(folder / "bin" / "python"), "-m", "pip", "install", "--quiet"]
    subprocess.run([*pip, "--constraint", str(ROOT / "constraints.txt"), str(ROOT)], check=True)
    return folder / "bin"


def start_up(binary: Path, *, runs: int = 15) -> dict[str, Any]:
    times = []
    for _ in range(runs + 1):
        started = time.perf_counter()
        subprocess.run([binary / "edgekit", "--help"], check=True, stdout=subprocess.DEVNULL)
        times.append(time.perf_counter() - started)
    return {"median_s": statistics.median(times[1:]), "samples_s": times[1:]}


def peak_mib(command: list[str | Path]) -> float:
    """Return the peak resident size of a process that must succeed."""
    child = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    _pid, status, usage = os.wait4(child.pid, 0)
    child.returncode = os.waitstatus_to_exitcode(status)
    if child.returncode:
        raise SystemExit(f"{command} failed with {child.returncode}")
    return usage.ru_maxrss / 1024


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("imagenet", type=Path)
    parser.add_argument("--effort", default="balanced")
    parser.add_argument("--out", type=Path, default=RESULTS / "footprint.json")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        binary = core_venv(folder / "venv")
        weights = arguments.imagenet / "weights" / "mobilenet_v2.pth"
        # In a process of its own: a child's peak starts at the size of the process it came from.
        model = folder / "m.onnx"
        edgekit = Path(sys.executable).parent / "edgekit"
        source = f"torchvision:mobilenet_v2@{weights}"
        subprocess.run([edgekit, "import", source, "--out", model, "--json"], check=True)
        memory = {
            str(n): peak_mib(
                [
                    *(binary / "edgekit", "calibrate", model, "--samples", str(n)),
                    *("--images", arguments.imagenet / "train", "--effort", arguments.effort),
                    *("--out", folder / "m.int8.onnx", "--json"),
                ]
            )
            for n in (64, 512)
        }
        values = {
            "help": start_up(binary),
            "calibrate_peak_mib": memory,
            "effort": arguments.effort,
            "growth_64_to_512": memory["512"] / memory["64"],
        }
    write_results(arguments.out, values)


if __name__ == "__main__":
    main()
