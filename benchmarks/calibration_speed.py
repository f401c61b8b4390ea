"""What calibration costs, in float forward passes over the same images.

    python -m benchmarks.calibration_speed IMAGENET_DIR

MobileNetV2, scheme `tensorrt`. The images are decoded before any clock starts. Forward passes
(ONNX Runtime as it comes, the batch that is fastest here) and calibrations take turns in one
process; the figure is the median of the ratios of neighbours. IMAGENET_DIR is described in
benchmarks/int8.py.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
from numpy.typing import NDArray

from benchmarks.conditions import RESULTS, write_results
from calibration.quantize import quantize
from calibration.repair.pixels import Levels
from calibration.schemes import SCHEMES
from toolkit.calibrate.pixel_levels import levels_of
from toolkit.datasets.folder import batches, open_folder, select
from toolkit.import_model import import_model
from toolkit.onnx_model.file import read_onnx

__all__ = ["main"]

_BATCHES = (1, 4, 8)


def seconds(action: Callable[[], object]) -> float:
    """Return how long `action` takes."""
    started = time.perf_counter()
    action()
    return time.perf_counter() - started


def forward_pass(
    model: onnx.ModelProto, images: NDArray[np.float32]
) -> Callable[[], NDArray[np.float32]]:
    """Return one float pass over `images`, in batches of the size that is fastest here."""
    session = onnxruntime.InferenceSession(
        model.SerializeToString(), providers=["CPUExecutionProvider"]
    )
    name = session.get_inputs()[0].name

    def run(size: int, count: int) -> NDArray[np.float32]:
        parts = [images[i : min(i + size, count)] for i in range(0, count, size)]
        return np.concatenate([session.run(None, {name: part})[0] for part in parts])

    few = min(32, len(images))
    run(max(_BATCHES), few)
    best = min(_BATCHES, key=lambda size: min(seconds(lambda: run(size, few)) for _ in range(3)))
    return lambda: run(best, len(images))


def compared(
    model: onnx.ModelProto,
    images: NDArray[np.float32],
    *,
    levels: Levels | None,
    effort: str,
    rounds: int,
) -> dict[str, Any]:
    """Return forward and calibration seconds of each round, and the median of their ratios."""
    forward = forward_pass(model, images)

    def calibration() -> None:
        quantize(
            model,
            lambda: (images[i : i + 8] for i in range(0, len(images), 8)),
            scheme=SCHEMES["tensorrt"],
            effort=effort,
            levels=levels,
            model_digest="benchmark",
        )

    pairs = [(seconds(forward), seconds(calibration)) for _ in range(rounds)]
    ratios = [calibrating / passing for passing, calibrating in pairs]
    return {
        "effort": effort,
        "images": len(images),
        "forward_s": [passing for passing, _ in pairs],
        "calibration_s": [calibrating for _, calibrating in pairs],
        "ratios": ratios,
        "ratio": statistics.median(ratios),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("imagenet", type=Path)
    parser.add_argument("--samples", type=int, default=512)
    parser.add_argument("--effort", default="fast")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--out", type=Path, default=RESULTS / "calibration-speed.json")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as place:
        weights = arguments.imagenet / "weights" / "mobilenet_v2.pth"
        path = Path(place) / "m.onnx"
        imported = import_model(f"torchvision:mobilenet_v2@{weights}", out=path)
        folder = open_folder(arguments.imagenet / "train", contract=imported.contract)
        chosen = select(folder, arguments.samples, seed=0)
        parts = batches(chosen, imported.contract.preprocess, batch_size=8)
        images = np.concatenate([part for part, _ in parts])
        values = compared(
            read_onnx(path),
            images,
            levels=levels_of(imported.contract.preprocess),
            effort=arguments.effort,
            rounds=arguments.rounds,
        )
    write_results(arguments.out, values)
    print(f"{values['effort']}: {values['ratio']:.2f} float forward passes")


if __name__ == "__main__":
    main()
