"""How much faster than FP32 an INT8 cpu engine is on this CPU, at equal threads.

    python -m benchmarks.int8_speed IMAGENET_DIR

Both engines take turns, round by round; the ratio is of the medians, with its interval. Each gets
its input ready-made: a float picture, or the integers that the INT8 engine takes. IMAGENET_DIR is
described in benchmarks/int8.py.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path
from typing import Any

from benchmarks.conditions import RESULTS, write_results
from toolkit.build import build
from toolkit.calibrate import calibrate
from toolkit.import_model import import_model
from toolkit.latency import ratio_between
from toolkit.measure import measure

__all__ = ["main"]

_MODELS = ("mobilenet_v2", "squeezenet1_1")
_TURNS = ((1, 1), (1, 8), (2, 1), (2, 8))
"""Threads, and images in a batch."""


def speed(fp32: Path, int8: Path, *, samples: int) -> list[dict[str, Any]]:
    """Return the ratio of throughputs, INT8 over FP32, for each of `_TURNS`."""
    rows = []
    for threads, batch in _TURNS:
        count = max(20, samples // batch)
        slow, fast = measure([fp32, int8], threads=threads, batch=batch, samples=count)
        ratio = ratio_between(fast, slow)
        rows.append(
            {
                "threads": threads,
                "batch": batch,
                "fp32_p50_ms": slow.percentile(50),
                "int8_p50_ms": fast.percentile(50),
                "throughput_ratio": ratio.value,
                "throughput_ratio_interval": ratio.interval.to_list(),
                "unstable": list({*slow.unstable, *fast.unstable}),
            }
        )
    return rows


def engines(name: str, imagenet: Path, folder: Path) -> tuple[Path, Path]:
    """Return the FP32 and the INT8 cpu engine of a model with its real weights."""
    weights = imagenet / "weights" / f"{name}.pth"
    fp32 = import_model(f"torchvision:{name}@{weights}", out=folder / f"{name}.onnx").path
    int8 = folder / f"{name}.int8.onnx"
    calibrate(fp32, images=imagenet / "train", target="cpu", out=int8)
    return build(fp32, target="cpu").path, build(int8, target="cpu").path


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("imagenet", type=Path)
    parser.add_argument("--samples", type=int, default=2000)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        made = {name: engines(name, arguments.imagenet, Path(folder)) for name in _MODELS}
        models = {name: speed(*pair, samples=arguments.samples) for name, pair in made.items()}
    for name, rows in models.items():
        for row in rows:
            low, high = row["throughput_ratio_interval"]
            print(
                f"{name}, {row['threads']} threads, batch {row['batch']}: "
                f"{row['throughput_ratio']:.2f} ({low:.2f} to {high:.2f})"
            )
    write_results(RESULTS / "int8-speed.json", {"models": models})


if __name__ == "__main__":
    main()
