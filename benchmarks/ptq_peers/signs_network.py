"""The process that trains one torchvision network briefly on signs, and may plant outliers in it.

Run by `networks`: prints one JSON object.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

from benchmarks.ptq_peers.outlier_channels import plant_outlier_channels
from toolkit.checkpoint import save_trained
from toolkit.export import export
from toolkit.onnx_model.file import open_model, read_onnx, write_onnx
from toolkit.preprocess import Preprocess
from toolkit.progress import Progress
from toolkit.training.fit import train_network
from toolkit.training.options import TrainingOptions
from toolkit.training.pictures import open_pictures, open_splits

__all__ = ["main"]

PIXELS = 64
_LEARNING_RATE = 2e-3
_PREPROCESS = Preprocess(
    PIXELS, PIXELS, resize="squash", mean=(0.485, 0.456, 0.406), std=(0.229, 0.224, 0.225)
)


def train_and_export(
    arch: str,
    data: Path,
    out: Path,
    *,
    epochs: int,
    threads: int,
    learning_rate: float = _LEARNING_RATE,
) -> float:
    """Write the trained network to `out`; return its top-1 on the validation pictures."""
    folders = open_splits(data)
    train, val = (
        open_pictures(folder, _PREPROCESS, step="read", threads=threads, progress=_show)
        for folder in folders
    )
    options = TrainingOptions(epochs=epochs, learning_rate=learning_rate, threads=threads)
    trained, _ = train_network(
        arch, folders[0].classes, train, val, options=options, progress=_show
    )
    checkpoint = out.with_suffix(".pt")
    save_trained(checkpoint, trained)
    export(checkpoint, out=out)
    return trained.top1


def plant(model: Path, out: Path, *, bits: int) -> int:
    """Write `model` with outlier channels to `out`; return how many."""
    planted, count = plant_outlier_channels(read_onnx(model), bits=bits)
    source = open_model(model)
    write_onnx(planted, out, source.contract.with_changes(parent=source.digest))
    return count


def _show(step: Progress) -> None:
    print(step, file=sys.stderr, flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("arch")
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--epochs", type=int, required=True)
    parser.add_argument("--learning-rate", type=float, default=_LEARNING_RATE)
    parser.add_argument("--threads", type=int, default=0)
    parser.add_argument("--plant-bits", type=int, default=0)
    arguments = parser.parse_args()
    float_model: Path = arguments.out
    if arguments.plant_bits:
        float_model = arguments.out.with_suffix(".float.onnx")
    top1 = train_and_export(
        arguments.arch,
        arguments.data,
        float_model,
        epochs=arguments.epochs,
        threads=arguments.threads,
        learning_rate=arguments.learning_rate,
    )
    report: dict[str, float] = {"top1": top1, "epochs": arguments.epochs}
    if arguments.plant_bits:
        report["planted_channels"] = plant(float_model, arguments.out, bits=arguments.plant_bits)
    print(json.dumps(report), flush=True)


if __name__ == "__main__":
    main()
