"""`edgekit train --qat`: a trained network in, an INT8 model whose weights learned to round."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray

from calibration.emit import Quantized
from calibration.graph import prepare
from calibration.quantize import quantize
from calibration.repair.one_sided import check_explicit
from calibration.schemes import SCHEMES, Scheme
from targets import get
from targets.support import decide
from toolkit.artifacts import OnnxModel, digest_of_file
from toolkit.atomic import check_writable
from toolkit.datasets.folder import ImageFolder, batches, select
from toolkit.errors import ContractError, InputError
from toolkit.export import export
from toolkit.golden import make_golden, write_golden
from toolkit.images import image_digest
from toolkit.int8_model import table_path, write_int8_model
from toolkit.lazy import load
from toolkit.networks import INSTALL_TRAIN
from toolkit.onnx_model.file import open_model, read_onnx
from toolkit.progress import Progress, ProgressCallback, silent
from toolkit.shell import quoted
from toolkit.training.history import Epoch, files_beside
from toolkit.training.options import TrainingOptions, check_options
from toolkit.training.pictures import Pictures, open_pictures, open_splits

__all__ = ["EPOCHS", "LEARNING_RATE", "Finetuned", "finetune"]

EPOCHS = 3
LEARNING_RATE = 2e-3
"""A share of the size of each weight and range, not an absolute step."""
_CALIBRATION_BATCH = 8


@dataclass(frozen=True)
class Finetuned:
    """The INT8 model with its table, the float model it was made from, and what was gained.

    Top-1 is that on the validation pictures, a share of 1: of the float model, of the calibrated
    model, and of the written one, the last two with INT8 rounding. Where no epoch beat the
    calibrated model (`gained` is False) that is what was written.
    """

    model: OnnxModel
    table: Path
    float_model: Path
    gained: bool
    top1_float: float
    top1_calibrated: float
    top1: float
    epochs: tuple[Epoch, ...]
    quantized: int
    float_layers: int
    seconds: float
    notes: tuple[str, ...]


def finetune(
    data: Path,
    *,
    start: Path,
    out: Path | None = None,
    target: str = "",
    samples: int = 512,
    method: str = "auto",
    effort: str = "balanced",
    explicit_shifts: bool = False,
    options: TrainingOptions | None = None,
    checkpoint_minutes: float = 5.0,
    resume: bool = False,
    progress: ProgressCallback = silent,
) -> Finetuned:
    """Fine-tune `start`, a checkpoint or a float ONNX model, on `data`/train for INT8 on `target`.

    It starts from what `calibrate` makes of `samples` training pictures with `method`, `effort`
    and `explicit_shifts`, and learns weights and ranges with the rounding in place. Of a
    checkpoint the float model is written beside `out`. Raises InputError and its kinds for data,
    options or targets that cannot work, ModelError for an operator that cannot be fine-tuned,
    CheckpointError, TargetError, CalibrationError, MissingDependencyError, and MachineError when
    memory runs out.
    """
    started, learn = time.monotonic(), _loaded("learn")
    chosen = options or TrainingOptions(epochs=EPOCHS, learning_rate=LEARNING_RATE)
    _check(chosen)
    scheme = SCHEMES[decide(get(target), precision="int8").scheme if target else "tensorrt"]
    if explicit_shifts:
        check_explicit(scheme)
    out = out or start.with_name(f"{start.stem}.int8.onnx")
    check_writable(out)
    if out.resolve() == start.resolve():
        raise InputError(
            f"{out} is what fine-tuning starts from: the result needs another name.",
            next_command=f"edgekit train {quoted(data)} --qat {quoted(start)} --out qat.int8.onnx",
        )
    source = _float_model(start, out, target, progress)
    folders = open_splits(data, contract=source.contract)
    model = read_onnx(source.path)
    _loaded("check_graph")(prepare(model), source.contract.preprocess)
    calibrated = _calibrated(
        model,
        source,
        folders[0],
        scheme,
        samples,
        method,
        effort,
        explicit_shifts,
        chosen.seed,
        progress,
    )
    train, val = (_pictures(source, folder, chosen, progress) for folder in folders)
    position = files_beside(out).resume
    learned = learn(
        calibrated,
        train,
        val,
        classes=len(source.contract.labels),
        options=chosen,
        name=f"qat {source.digest}",
        position=position,
        minutes=checkpoint_minutes,
        resume=resume,
        progress=progress,
    )
    written = write_int8_model(learned.result, source, out)
    write_golden(make_golden(written, float_model=source), written.path)
    position.unlink(missing_ok=True)
    return Finetuned(
        model=written,
        table=table_path(out),
        float_model=source.path,
        gained=learned.gained,
        top1_float=learned.top1_float,
        top1_calibrated=learned.top1_before,
        top1=learned.top1,
        epochs=learned.epochs,
        quantized=learned.result.quantized,
        float_layers=learned.result.float_layers,
        seconds=time.monotonic() - started,
        notes=learned.result.notes,
    )


def _check(options: TrainingOptions) -> None:
    check_options(options)
    again = "edgekit train DATA --qat MODEL.pt"
    if options.amp:
        raise InputError(
            "Fine-tuning for INT8 computes in float32: mixed precision would round twice.",
            next_command=again,
        )
    if int(os.environ.get("WORLD_SIZE", "1")) > 1:
        raise InputError("Fine-tuning for INT8 runs in one process.", next_command=again)


def _float_model(start: Path, out: Path, target: str, progress: ProgressCallback) -> OnnxModel:
    """Return the float ONNX model: `start`, or the export of a checkpoint beside `out`.

    An export that is there already is used as it is, with what it was exported with.
    """
    if start.suffix == ".onnx":
        return _fit(open_model(start), next_command="edgekit import SOURCE --out model.onnx")
    beside = out.with_name(f"{out.name.removesuffix('.onnx').removesuffix('.int8')}.onnx")
    if beside == out:
        raise InputError(
            f"{out} would be the float model as well as the INT8 model.",
            next_command=f"edgekit train DATA --qat {quoted(start)} --out model.int8.onnx",
        )
    if not beside.exists():
        return export(start, out=beside, target=target, progress=progress).model
    other = f"edgekit train DATA --qat {quoted(start)} --out OTHER.int8.onnx"
    return _fit(_export_of(start, beside, next_command=other), next_command=other)


def _export_of(start: Path, beside: Path, *, next_command: str) -> OnnxModel:
    """Return the model in `beside`; raise InputError where it is no export of `start`."""
    try:
        model = open_model(beside)
    except (InputError, ContractError):
        model = None
    if model is None or model.contract.parent != digest_of_file(start):
        raise InputError(
            f"{beside} exists and was not exported from {start}, whose float model would be "
            "written there.",
            next_command=next_command,
        )
    return model


def _fit(model: OnnxModel, *, next_command: str) -> OnnxModel:
    """Return `model`; raise InputError where its precision or its batch cannot be fine-tuned."""
    precision, batch = model.contract.precision, model.contract.input_shape[0]
    if precision != "fp32":
        obstacle = f"is an {precision} model; fine-tuning needs a float32 one"
    elif batch:
        obstacle = f"takes batches of {batch} only; fine-tuning needs an open batch"
    else:
        return model
    raise InputError(f"{model.path} {obstacle}.", next_command=next_command)


def _calibrated(
    model: onnx.ModelProto,
    source: OnnxModel,
    folder: ImageFolder,
    scheme: Scheme,
    samples: int,
    method: str,
    effort: str,
    explicit_shifts: bool,
    seed: int,
    progress: ProgressCallback,
) -> Quantized:
    images = select(folder, samples, seed=seed)

    def data() -> Iterable[NDArray[np.float32]]:
        read = batches(images, source.contract.preprocess, batch_size=_CALIBRATION_BATCH)
        return (batch for batch, _ in read)

    return quantize(
        model,
        data,
        scheme=scheme,
        method=method,
        effort=effort,
        explicit_shifts=explicit_shifts,
        seed=seed,
        model_digest=source.digest,
        images=tuple(image_digest(image.path) for image in images),
        progress=lambda step, done, total: progress(Progress(step, done, total)),
    )


def _pictures(
    source: OnnxModel, folder: ImageFolder, options: TrainingOptions, progress: ProgressCallback
) -> Pictures:
    return open_pictures(
        folder,
        source.contract.preprocess,
        step=f"read {folder.root.name}",
        threads=options.threads,
        progress=progress,
    )


def _loaded(name: str) -> Callable[..., Any]:
    found: Callable[..., Any] = load(
        f"toolkit.training.qat.learn:{name}",
        what="Fine-tuning for INT8",
        install=INSTALL_TRAIN,
    )
    return found
