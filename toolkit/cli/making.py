"""The commands that make files: train, import, export, calibrate, build."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from toolkit.cli.options import Json, Out, Seed, TargetName
from toolkit.cli.outcome import Outcome, verb
from toolkit.cli.progress import drawn

__all__ = ["build", "calibrate", "export", "import_", "train"]


@verb
def train(
    data: Annotated[Path, typer.Argument(help="Folder with train/CLASS/ and val/CLASS/ images.")],
    arch: Annotated[str, typer.Option(help="Network name.")] = "signs-cnn",
    epochs: Annotated[int, typer.Option(min=1, help="Passes over the training images.")] = 10,
    out: Out = Path("model.pt"),
    batch_size: Annotated[int, typer.Option(min=1)] = 32,
    seed: Seed = 0,
    as_json: Json = False,
) -> Outcome:
    """Train a classifier on a folder of images.

    Example: `edgekit train signs --arch signs-cnn --epochs 10 --out model.pt`
    """
    import time

    from toolkit.train import train as train_

    started = time.monotonic()
    with drawn(quiet=as_json) as progress:
        checkpoint = train_(
            data,
            out=out,
            arch=arch,
            epochs=epochs,
            batch_size=batch_size,
            seed=seed,
            progress=progress,
        )
    seconds = round(time.monotonic() - started, 1)
    return Outcome(
        f"{checkpoint.path}  top-1 {checkpoint.top1:.2%} after {epochs} epochs, {seconds} s",
        {
            "checkpoint": str(checkpoint.path),
            "top1": checkpoint.top1,
            "epochs": epochs,
            "seconds": seconds,
            "digest": checkpoint.digest,
        },
    )


@verb
def import_(
    source: Annotated[
        str,
        typer.Argument(
            help="torchvision:NAME[@weights.pth], timm:NAME, file.pth (with --arch), "
            "file.pt2 or file.onnx."
        ),
    ],
    out: Out = Path("model.onnx"),
    arch: Annotated[str, typer.Option(help="Network of a .pth file.")] = "",
    opset: Annotated[int, typer.Option(help="ONNX opset; TensorRT 8.5 reads up to 17.")] = 20,
    precision: Annotated[str, typer.Option(help="fp32 or fp16.")] = "fp32",
    preprocess: Annotated[
        str, typer.Option(help="Preprocessing by name, where the source does not carry it.")
    ] = "",
    labels: Annotated[
        Path | None, typer.Option(help="Class names in the order of the outputs.")
    ] = None,
    as_json: Json = False,
) -> Outcome:
    """Turn a model from elsewhere into an ONNX file with its deployment contract.

    Example: `edgekit import torchvision:mobilenet_v2 --out model.onnx`
    """
    from toolkit.import_model import import_model

    with drawn(quiet=as_json) as progress:
        model = import_model(
            source,
            out=out,
            arch=arch or None,
            opset=opset,
            precision=precision,
            preprocess=preprocess or None,
            labels=labels,
            progress=progress,
        )
    contract = model.contract
    return Outcome(
        f"{model.path}  {len(contract.labels)} classes, input {contract.input_shape}",
        {
            "model": str(model.path),
            "source": contract.source,
            "classes": len(contract.labels),
            "input_shape": list(contract.input_shape),
            "digest": model.digest,
        },
    )


@verb
def export(
    checkpoint: Annotated[Path, typer.Argument(help="A model.pt written by `edgekit train`.")],
    out: Out = Path("model.onnx"),
    opset: Annotated[int, typer.Option(help="ONNX opset; TensorRT 8.5 reads up to 17.")] = 20,
    precision: Annotated[str, typer.Option(help="fp32 or fp16.")] = "fp32",
    as_json: Json = False,
) -> Outcome:
    """Turn a checkpoint into ONNX, checked against PyTorch.

    Example: `edgekit export model.pt --out model.onnx`
    """
    from toolkit.export import export as export_

    with drawn(quiet=as_json) as progress:
        result = export_(checkpoint, out=out, opset=opset, precision=precision, progress=progress)
    return Outcome(
        f"{result.model.path}  max |PyTorch - ONNX| {result.max_abs_diff:.2g}",
        {
            "model": str(result.model.path),
            "max_abs_diff": result.max_abs_diff,
            "digest": result.model.digest,
        },
    )


@verb
def calibrate(
    model: Annotated[Path, typer.Argument(help="Float ONNX model with its contract.")],
    images: Annotated[
        Path | None, typer.Option(help="Folder of training images, one folder per class.")
    ] = None,
    samples: Annotated[int, typer.Option(help="Images to calibrate on.")] = 512,
    method: Annotated[str, typer.Option(help="auto, minmax, percentile, entropy or mse.")] = "auto",
    effort: Annotated[str, typer.Option(help="fast, balanced or best.")] = "balanced",
    target: TargetName = "",
    seed: Seed = 0,
    random_data: Annotated[
        bool, typer.Option("--random-data", help="Calibrate on noise; stamps UNCALIBRATED.")
    ] = False,
    write_manifest: Annotated[
        Path | None, typer.Option(help="Also write which images were used, with digests.")
    ] = None,
    out: Annotated[Path | None, typer.Option(help="INT8 model to write.")] = None,
    as_json: Json = False,
) -> Outcome:
    """Choose INT8 ranges on training images and write the model with Q/DQ.

    Example: `edgekit calibrate model.onnx --images train --target rtx-4090`
    """
    from toolkit.calibrate import calibrate as calibrate_

    with drawn(quiet=as_json) as progress:
        result = calibrate_(
            model,
            images=images,
            out=out,
            target=target,
            samples=samples,
            method=method,
            effort=effort,
            seed=seed,
            random_data=random_data,
            write_manifest=write_manifest,
            progress=progress,
        )
    return Outcome(
        f"{result.model.path}  {result.quantized} layers in INT8 "
        f"({result.int8_mac_share:.1%} of convolution MACs), {result.float_layers} in float",
        {
            "model": str(result.model.path),
            "table": str(result.table),
            "samples": result.samples,
            "method": result.method,
            "effort": result.effort,
            "quantized": result.quantized,
            "float": result.float_layers,
            "int8_mac_share": result.int8_mac_share,
            "seconds": round(result.seconds, 2),
            "scheme": result.model.contract.scheme,
            "calibration": result.model.contract.calibration,
            "float_reasons": result.float_reasons,
            "notes": list(result.notes),
        },
        details=result.notes,
    )


@verb
def build(
    model: Annotated[Path, typer.Argument(help="ONNX model: float, fp16 or int8.")],
    target: TargetName,
    out: Annotated[Path | None, typer.Option(help="Engine to write.")] = None,
    precision: Annotated[
        str, typer.Option(help="Only where the runtime has flags (TensorRT 8 to 10).")
    ] = "",
    batch: Annotated[str, typer.Option(help="MIN:OPT:MAX, for a dynamic batch.")] = "",
    workspace_mib: Annotated[int, typer.Option(min=0, help="Builder memory; 0: default.")] = 0,
    as_json: Json = False,
) -> Outcome:
    """Build the engine of a model for a device.

    Example: `edgekit build model.int8.onnx --target rtx-4090`
    """
    from toolkit.build import build as build_

    with drawn(quiet=as_json) as progress:
        engine = build_(
            model,
            target=target,
            out=out,
            precision=precision or None,
            batch=batch or None,
            workspace_mib=workspace_mib or None,
            progress=progress,
        )
    manifest = engine.manifest
    size = engine.path.stat().st_size
    return Outcome(
        f"{engine.path}  {manifest.precision}, {manifest.int8_convs} INT8 and "
        f"{manifest.float_convs} float convolutions, {size / 2**20:.1f} MiB",
        {
            "engine": str(engine.path),
            "target": manifest.target,
            "backend": manifest.backend,
            "precision": manifest.precision,
            "int8_convs": manifest.int8_convs,
            "float_convs": manifest.float_convs,
            "kernels": manifest.kernels,
            "bytes": size,
            "seconds": round(manifest.seconds, 2),
            "digest": manifest.engine_digest,
            "notes": list(manifest.notes),
        },
        details=manifest.notes,
    )
