"""The commands that make files: import, export, calibrate, build."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from toolkit.cli.options import Cam, Host, Identity, Json, Out, Port, Seed, TargetName
from toolkit.cli.outcome import Outcome, verb
from toolkit.cli.progress import drawn

__all__ = ["build", "calibrate", "export", "import_"]


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
    target: Annotated[
        str, typer.Option(help="Lower the opset to the newest one that this device reads.")
    ] = "",
    batch: Annotated[
        int | None, typer.Option(min=1, help="Fix the batch; it is dynamic otherwise.")
    ] = None,
    preprocess: Annotated[
        str, typer.Option(help="Preprocessing by name, where the source does not carry it.")
    ] = "",
    labels: Annotated[
        Path | None, typer.Option(help="Class names in the order of the outputs.")
    ] = None,
    cam: Cam = False,
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
            target=target,
            batch=batch,
            preprocess=preprocess or None,
            labels=labels,
            cam=cam,
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
    target: Annotated[
        str, typer.Option(help="Lower the opset to the newest one that this device reads.")
    ] = "",
    batch: Annotated[
        int | None, typer.Option(min=1, help="Fix the batch; it is dynamic otherwise.")
    ] = None,
    cam: Cam = False,
    as_json: Json = False,
) -> Outcome:
    """Turn a checkpoint into ONNX, checked against PyTorch.

    Example: `edgekit export model.pt --out model.onnx`
    """
    from toolkit.export import export as export_

    with drawn(quiet=as_json) as progress:
        result = export_(
            checkpoint,
            out=out,
            opset=opset,
            precision=precision,
            target=target,
            batch=batch,
            cam=cam,
            progress=progress,
        )
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
    explicit_shifts: Annotated[
        bool,
        typer.Option(
            "--explicit-shifts",
            help="Recentre SiLU, h-swish and the like too, by a Sub before each QuantizeLinear.",
        ),
    ] = False,
    target: TargetName = "",
    dla: Annotated[
        bool, typer.Option("--dla", help="For the target's DLA: a float model and its cache.")
    ] = False,
    jetpack: Annotated[str, typer.Option(help="JetPack on the device, such as 6.1.")] = "",
    seed: Seed = 0,
    random_data: Annotated[
        bool, typer.Option("--random-data", help="Calibrate on noise; stamps UNCALIBRATED.")
    ] = False,
    from_cache: Annotated[
        Path | None, typer.Option(help="Take the ranges from this TensorRT cache, not from images.")
    ] = None,
    manifest: Annotated[
        Path | None,
        typer.Option(help="Calibrate on exactly the images of DIR that this manifest lists."),
    ] = None,
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
            dla=dla,
            jetpack=jetpack,
            samples=samples,
            method=method,
            effort=effort,
            explicit_shifts=explicit_shifts,
            seed=seed,
            random_data=random_data,
            from_cache=from_cache,
            manifest=manifest,
            write_manifest=write_manifest,
            progress=progress,
        )
    cache = f" and {result.cache}" if result.cache else ""
    return Outcome(
        f"{result.model.path}{cache}  {result.quantized} layers in INT8 "
        f"({result.int8_mac_share:.1%} of convolution MACs), {result.float_layers} in float",
        {
            "model": str(result.model.path),
            "table": str(result.table),
            **({"cache": str(result.cache)} if result.cache else {}),
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
    dla_core: Annotated[
        int | None, typer.Option(min=0, help="Build for this DLA core, with the GPU as fallback.")
    ] = None,
    timing_cache: Annotated[
        Path | None, typer.Option(help="Keep TensorRT's timings here (default: beside the engine).")
    ] = None,
    compatible: Annotated[
        str, typer.Option(help="version, hardware (Ampere and newer) or same-sm, with commas.")
    ] = "",
    guard: Annotated[
        Path | None, typer.Option(help="FP16 engine INT8 must beat (default: the one beside it).")
    ] = None,
    host: Host = "",
    port: Port = 0,
    identity: Identity = None,
    bundle: Annotated[
        Path | None, typer.Option(help="Write an archive that builds on a board without network.")
    ] = None,
    jetpack: Annotated[str, typer.Option(help="JetPack of the board, with --bundle.")] = "",
    adopt: Annotated[
        Path | None,
        typer.Option(help="Take in this engine, which was built by hand from the --bundle."),
    ] = None,
    as_json: Json = False,
) -> Outcome:
    """Build the engine of a model for a device, here or over SSH.

    Example: `edgekit build model.int8.onnx --target rtx-4090`
    """
    from toolkit.build import build as build_
    from toolkit.build.options_fit import compatible_from_text
    from toolkit.build.request import TensorRTOptions
    from toolkit.cli.build_lines import build_outcome

    options = TensorRTOptions(dla_core, timing_cache, compatible_from_text(compatible), guard)
    with drawn(quiet=as_json) as progress:
        if host or bundle is not None or jetpack or adopt is not None:
            from toolkit.cli.remote_run import build_there

            return build_there(
                model,
                target=target,
                out=out,
                host=host,
                port=port,
                identity=identity,
                bundle=bundle,
                jetpack=jetpack,
                adopt=adopt,
                precision=precision,
                batch=batch or None,
                workspace_mib=workspace_mib or None,
                options=options,
                progress=progress,
            )
        engine = build_(
            model,
            target=target,
            out=out,
            precision=precision or None,
            batch=batch or None,
            workspace_mib=workspace_mib or None,
            options=options,
            progress=progress,
        )
    return build_outcome(engine)
