"""Does the diagnosis rank a planted fault first? One fault at a time, in good INT8 models.

    python -m benchmarks.planted_faults
    python -m benchmarks.planted_faults --imagenet IMAGENET_DIR

The faults (benchmarks/plantings.py): one tensor's range shrunk eightfold, one bias zeroed, one
weight quantized along its input channels, BGR input, missing mean; as many of each, in places drawn
by the seed. The models: a small network trained here on generated road signs, calibrated for
TensorRT and for this CPU, fast and balanced; with IMAGENET_DIR (see benchmarks/int8.py) every fifth
round is planted in MobileNetV2.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.conditions import RESULTS, write_results
from benchmarks.plantings import KINDS, found_first, plant
from toolkit.calibrate import calibrate
from toolkit.datasets.signs import make_signs
from toolkit.diagnose import diagnose
from toolkit.export import export
from toolkit.import_model import import_model
from toolkit.train import train

__all__ = ["Subject", "main", "run_plantings", "sign_subjects"]


@dataclass(frozen=True)
class Subject:
    """A good INT8 model to plant faults in, its reference, and images to diagnose it on."""

    name: str
    int8: Path
    reference: Path
    images: Path
    samples: int


def sign_subjects(folder: Path, *, pictures: int = 1000, epochs: int = 4) -> list[Subject]:
    """Train the small network in `folder` and return its INT8 forms."""
    data = make_signs(folder / "signs", train=pictures, val=200)
    train(folder / "signs", arch="signs-cnn", epochs=epochs, out=folder / "model.pt")
    reference = export(folder / "model.pt", out=folder / "model.onnx").model.path
    return [
        _subject(f"signs, {target or 'TensorRT'}, {effort}", reference, data.train, data.val,
                 target=target, effort=effort, samples=64, folder=folder)
        for target in ("", "cpu")
        for effort in ("fast", "balanced")
    ]  # fmt: skip


def mobilenet_subjects(folder: Path, imagenet: Path) -> list[Subject]:
    """Return MobileNetV2 in INT8 for TensorRT and for this CPU."""
    weights = imagenet / "weights" / "mobilenet_v2.pth"
    reference = import_model(f"torchvision:mobilenet_v2@{weights}", out=folder / "mnv2.onnx").path
    return [
        _subject(f"MobileNetV2, {target or 'TensorRT'}", reference, imagenet / "train",
                 imagenet / "val", target=target, effort="fast", samples=16, folder=folder)
        for target in ("", "cpu")
    ]  # fmt: skip


def _subject(
    name: str,
    reference: Path,
    train_images: Path,
    images: Path,
    *,
    target: str,
    effort: str,
    samples: int,
    folder: Path,
) -> Subject:
    made = calibrate(
        reference,
        images=train_images,
        target=target,
        samples=128,
        effort=effort,
        out=folder / f"{reference.stem}.{target or 'trt'}.{effort}.int8.onnx",
    )
    return Subject(name, made.model.path, reference, images, samples)


def run_plantings(
    subjects: Sequence[Subject],
    *,
    plantings: int,
    seed: int,
    folder: Path,
    every_fifth: Sequence[Subject] = (),
) -> list[dict[str, Any]]:
    """Return one row per planting: what was planted, and what was ranked first."""
    rows = []
    for index in range(plantings):
        round_, kind = divmod(index, len(KINDS))
        pool = every_fifth if every_fifth and round_ % 5 == 0 else subjects
        subject = pool[(index // 5 + index) % len(pool)]
        planting = plant(subject.int8, KINDS[kind], seed=seed + index, out=folder / "planted.onnx")
        started = time.monotonic()
        diagnosis = diagnose(
            planting.model,
            reference=subject.reference,
            images=subject.images,
            samples=subject.samples,
        )
        first = diagnosis.findings[0] if diagnosis.findings else None
        rows.append(
            {
                "subject": subject.name,
                "planted": KINDS[kind],
                "where": planting.where,
                "found_first": found_first(diagnosis, planting),
                "first": f"{first.kind} {first.where}" if first else "",
                "removed": first.trial.removed if first else None,
                "seconds": round(time.monotonic() - started, 1),
            }
        )
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--imagenet", type=Path)
    parser.add_argument("--plantings", type=int, default=100)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, default=RESULTS / "planted-faults.json")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        real = mobilenet_subjects(folder, arguments.imagenet) if arguments.imagenet else []
        rows = run_plantings(
            sign_subjects(folder),
            plantings=arguments.plantings,
            seed=arguments.seed,
            folder=folder,
            every_fifth=real,
        )
    values = {
        "plantings": len(rows),
        "found_first": sum(row["found_first"] for row in rows),
        "by_kind": {
            kind: [sum(r["found_first"] for r in of), len(of)]
            for kind in KINDS
            if (of := [r for r in rows if r["planted"] == kind])
        },
        "rows": rows,
    }
    print(f"{values['found_first']} of {len(rows)} planted faults ranked first")
    write_results(arguments.out, values)


if __name__ == "__main__":
    main()
