"""What fine-tuning for INT8 gives back of what `--method minmax --effort fast` loses.

    python -m benchmarks.qat --work DIR [--epochs N] [--threads N]

Two torchvision networks are trained briefly on generated road signs (kept in DIR, and not trained
again): a ResNet-18 with a tenth of its channels made 128 times as large, which float does not see,
and a MobileNetV3-Small as it is, at five times the usual learning rate. Seven of these were tried,
Small and Large, with rates from 2e-3 to 2e-2, two seeds and other lengths; calibration broke only
this one: its squeeze-and-excitation blocks end in values up to 138 times their root mean square,
where 87 was the most in three others. On another CPU, training may end elsewhere.

Both are calibrated and fine-tuned on new pictures, the choice of the epoch is made on others, and
the scores are those on two thousand pictures that nothing else saw, the choice of the network
included. `recovered` is the share of the loss of calibration that was taken back, in top-1 and in
the cross-entropy; where calibration lost nothing it is null.

A briefly trained network also gains from more training alone. `float_epochs` is therefore the same
learning without rounding, calibrated afterwards; `recovered_against_float_epochs` measures the loss
from that float network, which learned for as long.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.conditions import RESULTS, write_results
from benchmarks.float_epochs import learn_in_float
from calibration.execute import logits_of
from calibration.sqnr import sqnr_db
from toolkit.calibrate import calibrate
from toolkit.contract import Contract
from toolkit.datasets.folder import batches, open_folder
from toolkit.datasets.signs import make_signs
from toolkit.finetune import LEARNING_RATE, finetune
from toolkit.onnx_model.file import open_model, read_onnx
from toolkit.statistics.proportions import mcnemar_p
from toolkit.training.options import TrainingOptions

__all__ = ["main", "paired", "recovered"]


@dataclass(frozen=True)
class _Network:
    arch: str
    epochs: int
    learning_rate: float
    plant_bits: int = 0


_NETWORKS = {
    "resnet18-outliers": _Network("resnet18", 3, 2e-3, plant_bits=7),
    "mobilenet_v3_small": _Network("mobilenet_v3_small", 12, 1e-2),
}
_PIXELS = 64
_FIGURES = ("top1", "cross_entropy")
_HOW: dict[str, Any] = {"method": "minmax", "effort": "fast", "samples": 256}
_DATA = {"signs": (3000, 500, 0), "small": (800, 250, 2), "test": (20, 2000, 3)}


def measured(name: str, work: Path, *, epochs: int, threads: int) -> dict[str, Any]:
    """Return the figures of one network, which lies or is made in `work`."""
    model, data = _trained(name, work, threads), work / "small"
    options = TrainingOptions(epochs=epochs, learning_rate=LEARNING_RATE, threads=threads)
    tuned = finetune(data, start=model, out=work / f"{name}-qat.int8.onnx", options=options, **_HOW)
    in_float = work / f"{name}-float-epochs.onnx"
    learn_in_float(model, data, in_float, options=options)
    forms = {
        "fp32": model,
        "calibrated": _calibrated(model, data),
        "qat": tuned.model.path,
        "float_epochs_fp32": in_float,
        "float_epochs": _calibrated(in_float, data),
    }
    images, labels = _pictures(work / "test" / "val", open_model(model).contract)
    logits = {form: logits_of(read_onnx(path), images) for form, path in forms.items()}
    scores = {form: _score(logits["fp32"], found, labels) for form, found in logits.items()}
    pairs = ("fp32", "calibrated"), ("calibrated", "qat"), ("float_epochs", "qat")
    return {
        "network": name,
        "scores": scores,
        "gained": tuned.gained,
        **{f"recovered_{figure}": recovered(scores, figure) for figure in _FIGURES},
        "recovered_by_float_epochs": {
            figure: recovered(scores, figure, form="float_epochs") for figure in _FIGURES
        },
        "recovered_against_float_epochs": {
            figure: recovered(scores, figure, against="float_epochs_fp32") for figure in _FIGURES
        },
        **{f"{a}_to_{b}": paired(logits[a], logits[b], labels) for a, b in pairs},
        "seconds": tuned.seconds,
    }


def paired(
    a: NDArray[np.float32], b: NDArray[np.float32], labels: NDArray[np.int64]
) -> dict[str, float]:
    """Return what the same pictures say of two sets of logits (n, classes).

    Pictures that only one gets right with McNemar's exact p, and the mean rise of the
    cross-entropy from a to b with its standard error.
    """
    right_a, right_b = a.argmax(axis=1) == labels, b.argmax(axis=1) == labels
    only_a, only_b = int((right_a & ~right_b).sum()), int((right_b & ~right_a).sum())
    rise = _cross_entropy(b, labels) - _cross_entropy(a, labels)
    return {
        "only_first_right": only_a,
        "only_second_right": only_b,
        "mcnemar_p": mcnemar_p(only_a, only_b),
        "cross_entropy_rise": float(rise.mean()),
        "standard_error": float(rise.std(ddof=1) / len(rise) ** 0.5),
    }


def recovered(
    scores: dict[str, dict[str, float]], figure: str, *, form: str = "qat", against: str = "fp32"
) -> float | None:
    """Return the share of the loss that `form` took back; None where there was no loss."""
    whole, calibrated, later = (scores[each][figure] for each in (against, "calibrated", form))
    lost = whole - calibrated if figure == "top1" else calibrated - whole
    return (later - calibrated) / (whole - calibrated) if lost > 0.0 else None


def _trained(name: str, work: Path, threads: int) -> Path:
    out, network = work / f"{name}.onnx", _NETWORKS[name]
    if not out.exists():
        command = [
            *(sys.executable, "-m", "benchmarks.ptq_peers.signs_network", network.arch),
            *("--data", str(work / "signs"), "--out", str(out)),
            *("--epochs", str(network.epochs), "--learning-rate", str(network.learning_rate)),
            *("--plant-bits", str(network.plant_bits), "--threads", str(threads)),
        ]
        subprocess.run(command, check=True)
    return out


def _calibrated(model: Path, data: Path) -> Path:
    out = model.with_name(f"{model.stem}-calibrated.int8.onnx")
    return calibrate(model, images=data / "train", out=out, **_HOW).model.path


def _pictures(folder: Path, contract: Contract) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    found = open_folder(folder, contract=contract)
    parts = list(batches(found.images, contract.preprocess, batch_size=64))
    return np.concatenate([part[0] for part in parts]), np.concatenate([part[1] for part in parts])


def _score(
    wanted: NDArray[np.float32], found: NDArray[np.float32], labels: NDArray[np.int64]
) -> dict[str, float]:
    same = np.array_equal(wanted, found)
    return {
        "top1": float((found.argmax(axis=1) == labels).mean()),
        "cross_entropy": float(_cross_entropy(found, labels).mean()),
        **({} if same else {"sqnr_db": float(sqnr_db(wanted, found))}),
    }


def _cross_entropy(logits: NDArray[np.float32], labels: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return that of every picture, (n,)."""
    shifted = (logits - logits.max(axis=1, keepdims=True)).astype(np.float64)
    own = np.take_along_axis(shifted, labels[:, None], axis=1)[:, 0]
    return np.asarray(np.log(np.exp(shifted).sum(axis=1)) - own)


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
    networks = {name: asdict(network) for name, network in _NETWORKS.items()}
    values = {"epochs": arguments.epochs, "calibration": _HOW, "networks": networks, "rows": rows}
    write_results(RESULTS / "qat.json", values)


if __name__ == "__main__":
    main()
