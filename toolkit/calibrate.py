"""`edgekit calibrate`: images and a float ONNX model in, calibration table and INT8 model out."""

from __future__ import annotations

import json
import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from calibration.quantize import Quantized, quantize
from calibration.schemes import SCHEMES
from targets import get
from targets.support import decide
from toolkit.artifacts import OnnxModel
from toolkit.atomic import check_writable, replace_file, write_text
from toolkit.contract import UNCALIBRATED, Contract
from toolkit.datasets.folder import LabelledImage, batches, open_folder, select
from toolkit.errors import InputError
from toolkit.golden import make_golden, write_golden
from toolkit.images import image_digest
from toolkit.inspect_file import FLOAT_REASONS_KEY
from toolkit.onnx_file import open_model, read_onnx, write_onnx
from toolkit.progress import Progress, ProgressCallback, silent

__all__ = ["Calibration", "calibrate", "table_path"]

_BATCH = 8
"""Images in flight: large enough for full kernels, small enough for 0.8 GiB with MobileNetV2."""


@dataclass(frozen=True)
class Calibration:
    """What calibration made: the INT8 model, its table, and what became of each layer."""

    model: OnnxModel
    table: Path
    samples: int
    method: str
    effort: str
    quantized: int
    """Convolutions, Gemms and MatMuls that run in INT8."""
    float_layers: int
    float_reasons: dict[str, str]
    int8_mac_share: float
    """INT8 multiply-accumulates of all convolutions', a fraction of 1."""
    seconds: float
    notes: tuple[str, ...] = ()


def table_path(int8_model: Path) -> Path:
    """Return where the table of `model.int8.onnx` lies: `model.calibration.json`."""
    stem = int8_model.name.removesuffix(".onnx").removesuffix(".int8")
    return int8_model.with_name(f"{stem}.calibration.json")


def calibrate(
    model: Path,
    *,
    images: Path | None,
    out: Path | None = None,
    target: str = "",
    samples: int = 512,
    method: str = "auto",
    effort: str = "balanced",
    seed: int = 0,
    random_data: bool = False,
    write_manifest: Path | None = None,
    progress: ProgressCallback = silent,
) -> Calibration:
    """Choose ranges on `samples` images of `images`, write Q/DQ for `target`.

    Without `target` the result suits TensorRT 10 and newer. `random_data` calibrates on noise
    instead of images and stamps the result UNCALIBRATED. Table and model are both complete
    before either gets its name: a full disk leaves the old pair. Raises InputError, ModelError,
    ContractError, calibration.CalibrationError and targets.TargetError.
    """
    started = time.monotonic()
    out = out or model.with_name(f"{model.name.removesuffix('.onnx')}.int8.onnx")
    check_writable(out)
    source = open_model(model)
    scheme = (
        SCHEMES[decide(get(target), precision="int8").scheme] if target else SCHEMES["tensorrt"]
    )
    chosen = () if random_data else _choose(images, source.contract, samples=samples, seed=seed)
    digests = tuple(image_digest(image.path) for image in chosen)
    if write_manifest is not None:
        _write_manifest(write_manifest, images, chosen, digests, seed)

    def data() -> Iterable[NDArray[np.float32]]:
        if random_data:
            return _noise(source.contract, samples=samples, seed=seed)
        return (
            batch for batch, _ in batches(chosen, source.contract.preprocess, batch_size=_BATCH)
        )

    result = quantize(
        read_onnx(model),
        data,
        scheme=scheme,
        method=method,
        effort=effort,
        seed=seed,
        model_digest=source.digest,
        images=digests,
        uncalibrated=random_data,
        progress=lambda step, done, total: progress(Progress(step, done, total)),
    )
    _note_float_reasons(result)
    with replace_file(table_path(out)) as table:
        table.write_text(result.table.to_json(), encoding="utf-8")
        int8 = write_onnx(result.model, out, _int8_contract(source, result))
    write_golden(make_golden(int8, float_model=source), int8.path)
    return Calibration(
        model=int8,
        table=table_path(out),
        samples=result.table.samples,
        method=method,
        effort=effort,
        quantized=result.quantized,
        float_layers=result.float_layers,
        float_reasons=result.float_reasons,
        int8_mac_share=result.int8_mac_share,
        seconds=time.monotonic() - started,
        notes=result.notes,
    )


def _note_float_reasons(result: Quantized) -> None:
    """Keep in the file why layers stay float, for `edgekit inspect`."""
    result.model.metadata_props.add(
        key=FLOAT_REASONS_KEY, value=json.dumps(result.float_reasons, sort_keys=True)
    )


def _choose(
    images: Path | None, contract: Contract, *, samples: int, seed: int
) -> tuple[LabelledImage, ...]:
    if images is None:
        raise InputError(
            "INT8 ranges need calibration images, and none were given.",
            next_command="edgekit calibrate MODEL.onnx --images DIR   (or --random-data, which "
            "stamps the model UNCALIBRATED)",
        )
    if samples < 1:
        raise InputError(
            f"Calibration needs at least one image, {samples} were asked for.",
            next_command="edgekit calibrate MODEL.onnx --images DIR --samples 512",
        )
    return select(open_folder(images, contract=contract), samples, seed=seed)


def _noise(contract: Contract, *, samples: int, seed: int) -> Iterable[NDArray[np.float32]]:
    generator = np.random.default_rng(seed)
    _, channels, height, width = contract.input_shape
    for start in range(0, samples, _BATCH):
        shape = (min(_BATCH, samples - start), height, width, channels)
        yield contract.preprocess.normalise(generator.integers(0, 256, shape, dtype=np.uint8))


def _int8_contract(source: OnnxModel, result: Quantized) -> Contract:
    return source.contract.with_changes(
        parent=source.digest,
        precision="int8",
        scheme=result.table.scheme,
        calibration=UNCALIBRATED if result.table.uncalibrated else result.table.digest,
        calibration_images=result.table.images,
    )


def _write_manifest(
    path: Path,
    root: Path | None,
    chosen: tuple[LabelledImage, ...],
    digests: tuple[str, ...],
    seed: int,
) -> None:
    """Write which images were calibrated on, relative to their folder, with their digests."""
    entries = [
        {
            "path": str(image.path.relative_to(root) if root else image.path),
            "label": image.label,
            "digest": digest,
        }
        for image, digest in zip(chosen, digests, strict=True)
    ]
    write_text(path, json.dumps({"version": 1, "seed": seed, "images": entries}, indent=1) + "\n")
