"""The command that trains a network: train."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from toolkit.cli.options import Json, Out, Seed, Threads
from toolkit.cli.outcome import Outcome, verb
from toolkit.cli.progress import drawn

__all__ = ["train"]


@verb
def train(
    data: Annotated[
        Path,
        typer.Argument(help="Folder with train/CLASS/ and val/CLASS/ (or train_data, test_data)."),
    ],
    arch: Annotated[
        str, typer.Option(help="signs-cnn, simple-cnn, lenet5 or any classifier of torchvision.")
    ] = "signs-cnn",
    weights: Annotated[
        str,
        typer.Option(help="Weights to start from: a file, `default` or a name torchvision knows."),
    ] = "",
    epochs: Annotated[int, typer.Option(min=1, help="Passes over the training images.")] = 10,
    out: Out = Path("model.pt"),
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
    """Train a classifier on a folder of images.

    Example: `edgekit train signs --arch signs-cnn --epochs 10 --out model.pt`
    """
    import time

    from toolkit.train import train as train_
    from toolkit.training.history import files_beside

    started = time.monotonic()
    with drawn(quiet=as_json) as progress:
        checkpoint = train_(
            data,
            out=out,
            arch=arch,
            weights=weights,
            epochs=epochs,
            batch_size=batch_size,
            learning_rate=learning_rate,
            warmup=warmup,
            augment=augment,
            label_smoothing=label_smoothing,
            class_weights=class_weights,
            patience=patience,
            amp=amp,
            seed=seed,
            threads=threads,
            checkpoint_minutes=checkpoint_minutes,
            resume=resume,
            progress=progress,
        )
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
