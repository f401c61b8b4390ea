"""Run every benchmark whose figures README quotes, one after another, each in its own process.

    python -m benchmarks IMAGENET_DIR

About 25 minutes on two cores; let nothing else run meanwhile. IMAGENET_DIR is described in
benchmarks/int8.py.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
from pathlib import Path

MODELS = ("mobilenet_v2", "squeezenet1_1")


def run(*arguments: str | Path) -> None:
    print("$", *arguments, flush=True)
    subprocess.run(arguments, check=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("imagenet", type=Path)
    imagenet: Path = parser.parse_args().imagenet
    if not (imagenet / "weights").is_dir():
        parser.error(f"{imagenet} has no weights/: benchmarks/int8.py says what it must hold")
    python, edgekit = sys.executable, Path(sys.executable).parent / "edgekit"
    for model in MODELS:
        run(python, "-m", "benchmarks.int8", imagenet, "--model", model)
    run(python, "-m", "benchmarks.footprint", imagenet)
    run(python, "-m", "benchmarks.calibration_speed", imagenet)
    with tempfile.TemporaryDirectory() as place:
        fp32, int8 = Path(place) / "m.onnx", Path(place) / "m.int8.onnx"
        weights = imagenet / "weights" / "mobilenet_v2.pth"
        run(edgekit, "import", f"torchvision:mobilenet_v2@{weights}", "--out", fp32)
        images = ("--images", imagenet / "train")
        run(edgekit, "calibrate", fp32, *images, "--target", "cpu", "--out", int8)
        run(edgekit, "build", int8, "--target", "cpu", "--out", Path(place) / "engine.onnx")
        run(python, "-m", "benchmarks.live", Path(place) / "engine.onnx")


if __name__ == "__main__":
    main()
