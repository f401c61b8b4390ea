"""INT8 against FP32 on real models and real images: accuracy, and RTX layer tables.

    python -m benchmarks.int8 IMAGENET_DIR --model mobilenet_v2

IMAGENET_DIR holds train/SYNSET/*, val/SYNSET/* and weights/NAME.pth. Calibrated on train, scored on
val. Accuracy for NVIDIA targets is that of the Q/DQ graph evaluated in float; for `cpu` that of the
engine that runs. How fast that one is: benchmarks/int8_speed.py.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path
from typing import Any

from benchmarks.conditions import RESULTS, write_results
from targets import all_targets
from targets.support import RTX_SMS
from toolkit.build import build
from toolkit.calibrate import calibrate
from toolkit.compare import compare
from toolkit.import_model import import_model

__all__ = ["main"]


def one_form(
    fp32: Path, imagenet: Path, *, target: str, method: str, effort: str, samples: int, out: Path
) -> dict[str, Any]:
    """Return what one way of calibrating costs in accuracy and took in seconds."""
    made = calibrate(
        fp32,
        images=imagenet / "train",
        target=target,
        method=method,
        effort=effort,
        samples=samples,
        out=out,
    )
    scored = build(out, target="cpu").path if target == "cpu" else out
    comparison = compare(fp32, scored, images=imagenet / "val")
    figures = comparison.to_dict()
    kept = (
        *("n", "top1_a", "top1_b", "drop_points", "drop_interval", "agreement", "mcnemar_p"),
        *("sqnr_db", "mean_kl"),
    )
    return {
        "target": target,
        "scheme": made.model.contract.scheme,
        "method": method,
        "effort": effort,
        "samples": made.samples,
        "seconds_with_decoding": round(made.seconds, 1),
        "int8_mac_share": made.int8_mac_share,
        "scored": "the engine that runs" if target == "cpu" else "the graph, in float",
        **{name: figures[name] for name in kept if name in figures},
        "notes": list(made.notes),
    }


def rtx(fp32: Path, int8: Path, folder: Path) -> list[dict[str, Any]]:
    """Return what the RTX builder's layer table says, per SM, beside the FP32 engine's."""
    rows = []
    for sm in RTX_SMS:
        if sm == 75:
            continue  # Turing takes neither FP32 nor INT8 here
        target = next(row.id for row in all_targets() if row.sm == sm)
        engines = {
            name: build(model, target=target, out=folder / f"{name}.{target}.engine")
            for name, model in (("fp32", fp32), ("int8", int8))
        }
        rows.append(
            {
                "target": target,
                "sm": sm,
                **{
                    name: {
                        "int8_convs": engine.manifest.int8_convs,
                        "float_convs": engine.manifest.float_convs,
                        "kernels": engine.manifest.kernels,
                        "bytes": engine.path.stat().st_size,
                        "notes": list(engine.manifest.notes),
                    }
                    for name, engine in engines.items()
                },
            }
        )
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("imagenet", type=Path)
    parser.add_argument("--model", default="mobilenet_v2")
    parser.add_argument("--samples", type=int, default=512)
    parser.add_argument("--efforts", default="fast,balanced,best")
    parser.add_argument("--out", type=Path)
    arguments = parser.parse_args()
    name: str = arguments.model
    weights = arguments.imagenet / "weights" / f"{name}.pth"
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        fp32 = import_model(f"torchvision:{name}@{weights}", out=folder / "model.onnx").path
        forms = [
            one_form(
                fp32,
                arguments.imagenet,
                target=target,
                method="auto",
                effort=effort,
                samples=arguments.samples,
                out=folder / f"{target or 'tensorrt'}-{effort}.int8.onnx",
            )
            for target in ("", "rtx-4090", "cpu")
            for effort in arguments.efforts.split(",")
        ]
        forms.append(
            one_form(
                fp32,
                arguments.imagenet,
                target="",
                method="minmax",
                effort="fast",
                samples=arguments.samples,
                out=folder / "minmax.int8.onnx",
            )
        )
        last = arguments.efforts.split(",")[-1]
        values = {
            "model": name,
            "forms": forms,
            "rtx": rtx(fp32, folder / f"rtx-4090-{last}.int8.onnx", folder),
            "tensorrt_everything_int8_on_rtx": rtx(
                fp32, folder / f"tensorrt-{last}.int8.onnx", folder
            )[2:3],
        }
    write_results(arguments.out or RESULTS / f"int8-{name}.json", values)


if __name__ == "__main__":
    main()
