"""The command that trains a network, or fine-tunes one for INT8: train."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from toolkit.cli.options import Json, Seed, TargetName, Threads
from toolkit.cli.outcome import Outcome, verb
from toolkit.cli.progress import drawn
from toolkit.errors import InputError

__all__ = ["train"]


@verb
def train(
    data: Annotated[
        Path,
        typer.Argument(help="Folder with train/CLASS/ and val/CLASS/ (or train_data, test_data)."),
    ],
    arch: Annotated[
        str,
        typer.Option(
            help="signs-cnn, simple-cnn, lenet5 or any classifier of torchvision "
            "(default: signs-cnn)."
        ),
    ] = "",
    weights: Annotated[
        str,
        typer.Option(help="Weights to start from: a file, `default` or a name torchvision knows."),
    ] = "",
    qat: Annotated[
        Path | None,
        typer.Option(help="Fine-tune this model.pt or float ONNX file for INT8 instead."),
    ] = None,
    target: TargetName = "",
    samples: Annotated[
        int | None, typer.Option(min=1, help="With --qat: images to calibrate on (default: 512).")
    ] = None,
    method: Annotated[
        str, typer.Option(help="With --qat, as for `calibrate` (default: auto).")
    ] = "",
    effort: Annotated[
        str, typer.Option(help="With --qat, as for `calibrate` (default: balanced).")
    ] = "",
    explicit_shifts: Annotated[
        bool,
        typer.Option("--explicit-shifts", help="With --qat, as for `calibrate`."),
    ] = False,
    epochs: Annotated[
        int | None,
        typer.Option(min=1, help="Passes over the training images (default: 10, with --qat 3)."),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(help="File to write (default: model.pt, with --qat FROM.int8.onnx)."),
    ] = None,
    batch_size: Annotated[int, typer.Option(min=1, help="Images a step, over all workers.")] = 32,
    learning_rate: Annotated[
        float | None, typer.Option(help="Its peak (default: what suits the network).")
    ] = None,
    warmup: Annotated[float, typer.Option(help="Share of the steps in which it rises.")] = 0.1,
    augment: Annotated[str, typer.Option(help="mild, none, photos or trivial.")] = "mild",
    label_smoothing: Annotated[float, typer.Option(help="Share given to other classes.")] = 0.0,
    class_weights: Annotated[
        str, typer.Option(help="none, or balanced: rare classes count as much as frequent ones.")
    ] = "none",
    patience: Annotated[
        int, typer.Option(min=0, help="Stop after so many epochs without gain; 0: never.")
    ] = 0,
    amp: Annotated[bool, typer.Option("--amp", help="Mixed precision, on a CUDA device.")] = False,
    checkpoint_minutes: Annotated[
        float, typer.Option(min=0, help="Keep the position this often; 0: after every step.")
    ] = 5.0,
    resume: Annotated[
        bool, typer.Option("--resume", help="Go on where a stopped run left off, to equal bits.")
    ] = False,
    seed: Seed = 0,
    threads: Threads = 0,
    as_json: Json = False,
) -> Outcome:
    """Train a classifier on a folder of images, or fine-tune one for INT8 (--qat).

    Example: `edgekit train signs --arch signs-cnn --epochs 10 --out model.pt`, then
    `edgekit train signs --qat model.pt --target rtx-4090`
    """
    recipe: dict[str, Any] = {
        "batch_size": batch_size,
        "warmup": warmup,
        "augment": augment,
        "label_smoothing": label_smoothing,
        "class_weights": class_weights,
        "patience": patience,
        "amp": amp,
        "seed": seed,
        "threads": threads,
    }
    going: dict[str, Any] = {"checkpoint_minutes": checkpoint_minutes, "resume": resume}
    if qat is None:
        asked = {"samples": samples, "method": method, "effort": effort}
        _refuse("with --qat alone", target=target, **asked, explicit_shifts=explicit_shifts)
        start = {"arch": arch or "signs-cnn", "weights": weights}
        rates = {"epochs": epochs or 10, "learning_rate": learning_rate}
        return _trained(data, out or Path("model.pt"), as_json, **start, **rates, **recipe, **going)
    _refuse("without --qat alone: FROM holds a network", arch=arch, weights=weights)
    calibration = {
        "target": target,
        "samples": 512 if samples is None else samples,
        "method": method or "auto",
        "effort": effort or "balanced",
        "explicit_shifts": explicit_shifts,
    }
    return _finetuned(
        data,
        qat,
        as_json,
        out=out,
        epochs=epochs,
        learning_rate=learning_rate,
        recipe=recipe,
        **calibration,
        **going,
    )


def _refuse(when: str, **options: Any) -> None:
    given = next((name for name, value in options.items() if value), None)
    if given is not None:
        option = given.replace("_", "-")
        raise InputError(f"--{option} is read {when}.", next_command="edgekit train --help")


def _trained(data: Path, out: Path, as_json: bool, **options: Any) -> Outcome:
    import time

    from toolkit.train import train as train_
    from toolkit.training.history import files_beside

    started = time.monotonic()
    with drawn(quiet=as_json) as progress:
        checkpoint = train_(data, out=out, progress=progress, **options)
    seconds = round(time.monotonic() - started, 1)
    files = files_beside(out)
    return Outcome(
        f"{checkpoint.path}  top-1 {checkpoint.top1:.2%} after {checkpoint.epochs} epochs, "
        f"{seconds} s",
        {
            "checkpoint": str(checkpoint.path),
            "top1": checkpoint.top1,
            "epochs": checkpoint.epochs,
            "seconds": seconds,
            "digest": checkpoint.digest,
            "history": str(files.history),
            "curves": str(files.curves),
        },
        details=(f"curves and confusion matrix: {files.curves}",),
    )


def _finetuned(
    data: Path,
    start: Path,
    as_json: bool,
    *,
    epochs: int | None,
    learning_rate: float | None,
    recipe: dict[str, Any],
    **options: Any,
) -> Outcome:
    from toolkit.finetune import EPOCHS, LEARNING_RATE, finetune
    from toolkit.training.options import TrainingOptions

    chosen = TrainingOptions(
        epochs=epochs or EPOCHS,
        learning_rate=LEARNING_RATE if learning_rate is None else learning_rate,
        **recipe,
    )
    with drawn(quiet=as_json) as progress:
        made = finetune(data, start=start, options=chosen, progress=progress, **options)
    stayed = "no epoch beat the calibrated model, which was written as it was"
    return Outcome(
        f"{made.model.path}  top-1 {made.top1:.2%} in INT8 after {len(made.epochs)} epochs "
        f"(calibrated {made.top1_calibrated:.2%}, FP32 {made.top1_float:.2%}), "
        f"{made.quantized} layers in INT8",
        {
            "model": str(made.model.path),
            "table": str(made.table),
            "float_model": str(made.float_model),
            "gained": made.gained,
            "top1": made.top1,
            "top1_calibrated": made.top1_calibrated,
            "top1_float": made.top1_float,
            "epochs": len(made.epochs),
            "validation_losses": [epoch.val_loss for epoch in made.epochs],
            "quantized": made.quantized,
            "float": made.float_layers,
            "scheme": made.model.contract.scheme,
            "seconds": round(made.seconds, 1),
            "notes": list(made.notes),
        },
        details=(*(() if made.gained else (stayed,)), *made.notes),
    )
