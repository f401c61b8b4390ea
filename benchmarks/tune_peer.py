"""Evaluations that `edgekit tune` and NNCF's accuracy control need for one budget, side by side.

    python -m benchmarks.tune_peer MODEL.onnx --images VAL --calibration-images TRAIN
        --nncf-python PYTHON --max-drop 1 [--plant 2] [--method minmax]

NNCF takes the drop it sees for the truth: `--confidence 0.51` asks no more of `tune`. PYTHON has
nncf, onnx and onnxruntime. One evaluation is one model run over all of VAL; partial runs
count by their images. NNCF validates and chooses on all of VAL, `tune` searches on a third and
judges on the rest. `--plant N` makes N pairs of layers hard: half of the channels between them
become 200 times smaller and the next weights that much larger. Where a Clip cut these channels
the float model changes too; both sides start from the changed one.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import numpy_helper

from benchmarks.conditions import RESULTS, write_results
from calibration.graph import Graph, prepare
from calibration.nodes import set_constant
from toolkit.compare import compare
from toolkit.datasets.folder import batches, open_folder, select
from toolkit.onnx_model.file import open_model, read_onnx, write_onnx
from toolkit.tune import tune

__all__ = ["main", "plant"]

_CONFIDENCE = 0.95
_FACTOR = 200.0
_BESIDE = Path(__file__).with_name("tune_nncf.py")


def plant(model: onnx.ModelProto, pairs: int) -> onnx.ModelProto:
    """Return the prepared model with the last `pairs` chains Conv, Relu or Clip, Conv made hard."""
    result = prepare(model)
    graph = Graph(result)
    done = 0
    for node in reversed(graph.nodes):
        before = graph.producer(node.input[0]) if node.op_type == "Conv" else None
        if before is None or before.op_type not in ("Relu", "Clip") or graph.is_depthwise(node):
            continue
        source = graph.producer(before.input[0])
        alone = len(graph.uses(node.input[0])) == 1 and len(graph.uses(before.input[0])) == 1
        if source is None or source.op_type != "Conv" or not alone or done == pairs:
            continue
        for name, axis, factor in (
            (source.input[1], 0, 1.0 / _FACTOR),
            (source.input[2], 0, 1.0 / _FACTOR),
            (node.input[1], 1, _FACTOR),
        ):
            values = np.array(_constant(result, name))
            values[(slice(None),) * axis + (slice(0, None, 2),)] *= np.float32(factor)
            set_constant(result, name, values)
        done += 1
    if done < pairs:
        raise SystemExit(f"only {done} chains of two convolutions to plant in")
    return result


def _constant(model: onnx.ModelProto, name: str) -> Any:
    return numpy_helper.to_array(next(t for t in model.graph.initializer if t.name == name))


def nncf_side(
    model: Path, images: Path, calibration: Path, samples: int, max_drop: float, python: Path
) -> dict[str, Any]:
    """Return what NNCF took and ended with, on the same preprocessed pictures."""
    contract = open_model(model).contract
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        (folder / "model.onnx").write_bytes(model.read_bytes())
        every = batches(
            open_folder(images, contract=contract).images, contract.preprocess, batch_size=8
        )
        inputs, labels = zip(*every, strict=True)
        np.save(folder / "images.npy", np.concatenate(inputs))
        np.save(folder / "labels.npy", np.concatenate(labels))
        chosen = select(open_folder(calibration, contract=contract), samples, seed=0)
        given = [x for x, _ in batches(chosen, contract.preprocess, batch_size=8)]
        np.save(folder / "calibration.npy", np.concatenate(given))
        run = subprocess.run(
            [python, str(_BESIDE), place, str(max_drop / 100.0)],
            capture_output=True,
            text=True,
            check=False,
        )
    if run.returncode:
        raise SystemExit(run.stderr[-2000:])
    found: dict[str, Any] = json.loads(run.stdout.strip().splitlines()[-1])
    return found


def main() -> None:
    """Run both sides and write benchmarks/results/tune-MODEL.json."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("model", type=Path)
    parser.add_argument("--images", type=Path, required=True)
    parser.add_argument("--calibration-images", type=Path, required=True)
    parser.add_argument("--nncf-python", type=Path, required=True)
    parser.add_argument("--max-drop", type=float, default=1.0)
    parser.add_argument("--confidence", type=float, default=_CONFIDENCE)
    parser.add_argument("--samples", type=int, default=128)
    parser.add_argument("--method", default="minmax")
    parser.add_argument("--effort", default="balanced")
    parser.add_argument("--plant", type=int, default=0)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as place:
        given = open_model(options.model)
        hard = Path(place) / options.model.name
        graph = read_onnx(options.model)
        write_onnx(plant(graph, options.plant) if options.plant else graph, hard, given.contract)
        out = Path(place) / "tuned.int8.onnx"
        ours = tune(
            hard,
            images=options.images,
            max_drop=options.max_drop,
            calibration_images=options.calibration_images,
            target="rtx-4090",
            samples=options.samples,
            method=options.method,
            effort=options.effort,
            confidence=options.confidence,
            threads=1,
            out=out,
        )
        whole = compare(hard, out, images=options.images, threads=1)
        theirs = nncf_side(
            hard,
            options.images,
            options.calibration_images,
            options.samples,
            options.max_drop,
            options.nncf_python,
        )
    evaluations = ours.images_run / whole.n, theirs["images_evaluated"] / whole.n
    planted = f"-planted-{options.plant}" if options.plant else ""
    strict = f"-at-{options.confidence:g}" if options.confidence != _CONFIDENCE else ""
    write_results(
        RESULTS / f"tune-{options.model.stem}{planted}{strict}.json",
        {
            "images": whole.n,
            "max_drop_points": options.max_drop,
            "confidence": options.confidence,
            "planted_pairs": options.plant,
            "edgekit": {
                "evaluations": evaluations[0],
                "verdict": ours.verdict,
                "kept_in_float": list(ours.kept),
                "layers": ours.layers,
                "drop_points_on_all": whole.drop_points,
                "curve": ours.to_dict()["curve"],
                "seconds": round(ours.seconds, 1),
            },
            "nncf": {"evaluations": evaluations[1], **theirs},
            "edgekit_share_of_evaluations": evaluations[0] / evaluations[1],
        },
    )
    print(
        f"edgekit {evaluations[0]:.2f} evaluations, {ours.verdict}, drop {whole.drop_points:.2f}; "
        f"NNCF {evaluations[1]:.2f}, drop {theirs['drop_points']:.2f}"
    )


if __name__ == "__main__":
    main()
