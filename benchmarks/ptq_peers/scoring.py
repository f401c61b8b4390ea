"""The process that scores one quantized file, the same way for every tool.

Run by `making`: prints one JSON object. Q/DQ is evaluated in float, as TensorRT defines it; a file
for this machine's CPU is scored a second time as the fused engine that runs.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

from benchmarks.ptq_peers.feed import Feed
from benchmarks.ptq_peers.mac_share import int8_mac_share
from toolkit.artifacts import OnnxModel, digest_of_file
from toolkit.build import build
from toolkit.compare import compare
from toolkit.errors import EdgekitError
from toolkit.images import image_digest
from toolkit.onnx_model.file import open_model, read_onnx, write_onnx

__all__ = ["main", "sealed"]

_RTX = "rtx-4090"
_FIGURES = (
    *("n", "top1_a", "top1_b", "drop_points", "drop_interval", "agreement", "mcnemar_p"),
    *("sqnr_db", "mean_kl"),
)


def sealed(source: OnnxModel, made: Path, feed: Feed, *, scheme: str) -> OnnxModel:
    """Return a tool's file with the contract of the float model, so that it can be scored.

    The contract names the images calibrated on: scoring one of them is an error.
    """
    contract = source.contract.with_changes(
        parent=source.digest,
        precision="int8",
        scheme=scheme,
        calibration=digest_of_file(made),
        calibration_images=tuple(image_digest(image.path) for image in feed.images),
    )
    return write_onnx(read_onnx(made), made.with_suffix(".sealed.onnx"), contract)


def accuracy(float_model: Path, model: Path, images: Path, *, threads: int) -> dict[str, Any]:
    """Return the paired figures of `model` against the float model."""
    figures = compare(float_model, model, images=images, threads=threads).to_dict()
    return {name: figures[name] for name in _FIGURES}


def rtx_verdict(model: Path) -> dict[str, Any]:
    """Return what TensorRT-RTX's own layer table says, or why it refuses the file."""
    try:
        engine = build(model, target=_RTX, out=model.with_suffix(".engine"))
    except EdgekitError as error:
        return {"target": _RTX, "refused": str(error).replace(f"{model.parent}/", "")}
    manifest = engine.manifest
    return {
        "target": _RTX,
        "int8_convs": manifest.int8_convs,
        "float_convs": manifest.float_convs,
        "kernels": manifest.kernels,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    for name in ("--model", "--made", "--calibrated-on", "--images"):
        parser.add_argument(name, type=Path, required=True)
    parser.add_argument("--samples", type=int, required=True)
    parser.add_argument("--scheme", required=True)
    parser.add_argument("--threads", type=int, default=0)
    parser.add_argument("--no-rtx", action="store_true")
    arguments = parser.parse_args()
    source = open_model(arguments.model)
    feed = Feed(arguments.calibrated_on, source.contract, samples=arguments.samples)
    model = sealed(source, arguments.made, feed, scheme=arguments.scheme)
    report: dict[str, Any] = accuracy(
        source.path, model.path, arguments.images, threads=arguments.threads
    )
    report["int8_mac_share"] = int8_mac_share(read_onnx(model.path))
    if not arguments.no_rtx:
        report["rtx"] = rtx_verdict(model.path)
    if arguments.scheme.startswith("onnxruntime"):
        engine = build(model.path, target="cpu").path
        report["engine"] = accuracy(
            source.path, engine, arguments.images, threads=arguments.threads
        )
    print(json.dumps(report), flush=True)


if __name__ == "__main__":
    main()
