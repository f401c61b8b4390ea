"""What fine-tuning for INT8 gives back of what `--method minmax --effort fast` loses.

    python -m benchmarks.qat --work DIR [--epochs N] [--threads N]

Two torchvision networks are trained briefly on generated road signs (kept in DIR, and not trained
again): a ResNet-18 with a tenth of its channels made 128 times as large, which float does not see,
and a MobileNetV3-Small. Both are calibrated and fine-tuned on new pictures, the choice of the epoch
is made on others, and the scores are those on a thousand pictures that nothing else saw.

`recovered` is the share of the loss of calibration that fine-tuning took back, in top-1 and in the
cross-entropy. Where calibration lost nothing that a thousand pictures can show, it says nothing.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.conditions import RESULTS, write_results
from calibration.execute import logits_of
from calibration.sqnr import sqnr_db
from toolkit.calibrate import calibrate
from toolkit.datasets.folder import batches, open_folder
from toolkit.datasets.signs import make_signs
from toolkit.finetune import LEARNING_RATE, finetune
from toolkit.onnx_model.file import open_model, read_onnx
from toolkit.training.options import TrainingOptions

__all__ = ["main"]

_NETWORKS = {
    "resnet18-outliers": ("resnet18", 3, 7),
    "mobilenet_v3_small": ("mobilenet_v3_small", 12, 0),
}
_PIXELS, _SAMPLES = 64, 256
_DATA = {"signs": (3000, 500, 0), "small": (800, 250, 2), "test": (20, 1000, 1)}


def measured(name: str, work: Path, *, epochs: int, threads: int) -> dict[str, Any]:
    """Return the figures of one network, which lies or is made in `work`."""
    model = _trained(name, work, threads)
    data = work / "small"
    how: dict[str, Any] = {"method": "minmax", "effort": "fast", "samples": _SAMPLES}
    calibrated = calibrate(
        model, images=data / "train", out=work / f"{name}-calibrated.int8.onnx", **how
    )
    options = TrainingOptions(epochs=epochs, learning_rate=LEARNING_RATE, threads=threads)
    out = work / f"{name}-qat.int8.onnx"
    tuned = finetune(data, start=model, out=out, options=options, **how)
    contract = open_model(model).contract
    images, labels = _pictures(work / "test" / "val", contract)
    wanted = logits_of(read_onnx(model), images)
    scores = {
        form: _score(wanted, logits_of(read_onnx(path), images), labels)
        for form, path in (
            ("fp32", model),
            ("calibrated", calibrated.model.path),
            ("qat", tuned.model.path),
        )
    }
    return {
        "network": name,
        "scores": scores,
        "gained": tuned.gained,
        "recovered_top1": _recovered(scores, "top1"),
        "recovered_cross_entropy": _recovered(scores, "cross_entropy"),
        "seconds": tuned.seconds,
    }


def _trained(name: str, work: Path, threads: int) -> Path:
    out, (arch, epochs, bits) = work / f"{name}.onnx", _NETWORKS[name]
    if not out.exists():
        command = [sys.executable, "-m", "benchmarks.ptq_peers.signs_network", arch]
        command += ["--data", str(work / "signs"), "--out", str(out), "--epochs", str(epochs)]
        command += ["--plant-bits", str(bits), "--threads", str(threads)]
        subprocess.run(command, check=True)
    return out


def _pictures(folder: Path, contract: Any) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    found = open_folder(folder, contract=contract)
    parts = list(batches(found.images, contract.preprocess, batch_size=64))
    return np.concatenate([part[0] for part in parts]), np.concatenate([part[1] for part in parts])


def _score(
    wanted: NDArray[np.float32], found: NDArray[np.float32], labels: NDArray[np.int64]
) -> dict[str, float]:
    shifted = (found - found.max(axis=1, keepdims=True)).astype(np.float64)
    own = np.take_along_axis(shifted, labels[:, None], axis=1)[:, 0]
    entropy = np.log(np.exp(shifted).sum(axis=1)) - own
    same = np.array_equal(wanted, found)
    return {
        "top1": float((found.argmax(axis=1) == labels).mean()),
        "cross_entropy": float(entropy.mean()),
        **({} if same else {"sqnr_db": float(sqnr_db(wanted, found))}),
    }


def _recovered(scores: dict[str, dict[str, float]], figure: str) -> float | None:
    """Return the share of the loss that was taken back; None where there was no loss."""
    fp32, calibrated, qat = (scores[form][figure] for form in ("fp32", "calibrated", "qat"))
    lost = fp32 - calibrated if figure == "top1" else calibrated - fp32
    return (qat - calibrated) / (fp32 - calibrated) if lost > 0.0 else None


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--epochs", type=int, default=2)
    parser.add_argument("--threads", type=int, default=0)
    arguments = parser.parse_args()
    for name, (train, val, seed) in _DATA.items():
        if not (arguments.work / name).exists():
            make_signs(arguments.work / name, train=train, val=val, size=_PIXELS, seed=seed)
    rows = []
    for name in _NETWORKS:
        row = measured(name, arguments.work, epochs=arguments.epochs, threads=arguments.threads)
        rows.append(row)
        print(row, flush=True)
    write_results(RESULTS / "qat.json", {"epochs": arguments.epochs, "rows": rows})


if __name__ == "__main__":
    main()
