"""`edgekit calibrate`: images and a float ONNX model in, calibration table and INT8 model out."""

from __future__ import annotations

import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from calibration.collect import Batches
from calibration.emit import Quantized
from calibration.quantize import quantize
from calibration.repair.one_sided import check_explicit
from calibration.schemes import SCHEMES
from targets import get
from targets.decision import Decision
from targets.support import decide
from toolkit.artifacts import OnnxModel
from toolkit.atomic import check_writable
from toolkit.calibrate.converted_ranges import (
    is_quantized,
    quantized_from_cache,
    quantized_from_qdq,
)
from toolkit.calibrate.manifest import (
    CalibrationManifest,
    read_manifest,
    write_calibration_manifest,
)
from toolkit.calibrate.pair import scheme_for_cache, write_pair
from toolkit.calibrate.pixel_levels import levels_of
from toolkit.calibrate.seen_confidence import with_confidences
from toolkit.contract import Contract
from toolkit.datasets.folder import LabelledImage, batches, open_folder, select
from toolkit.errors import InputError
from toolkit.golden import make_golden, write_golden
from toolkit.images import image_digest
from toolkit.int8_model import table_path, write_int8_model
from toolkit.onnx_model.file import open_model, read_onnx
from toolkit.progress import Progress, ProgressCallback, silent
from toolkit.shell import quoted

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
    cache: Path | None = None
    """TensorRT's calibration cache, where the model is a float graph and INT8 comes from it."""


def calibrate(
    model: Path,
    *,
    images: Path | None,
    out: Path | None = None,
    target: str = "",
    dla: bool = False,
    jetpack: str = "",
    samples: int = 512,
    method: str = "auto",
    effort: str = "balanced",
    explicit_shifts: bool = False,
    seed: int = 0,
    random_data: bool = False,
    from_cache: Path | None = None,
    manifest: Path | None = None,
    write_manifest: Path | None = None,
    progress: ProgressCallback = silent,
) -> Calibration:
    """Choose ranges on `samples` images of `images`, write Q/DQ for `target`.

    Without `target` the result suits TensorRT 10 and newer. With `manifest`, exactly the images
    that it lists are used, with its seed, and `samples` is not read: the table comes out byte for
    byte as it was. With `explicit_shifts`, activations such as SiLU are recentred by a Sub each,
    which TensorRT runs. `random_data` calibrates on noise instead of images and stamps the result
    UNCALIBRATED. Table and model are both complete before either gets its name: a full disk
    leaves the old pair. With `dla`, for the target's DLA: before TensorRT 11 that takes no Q/DQ,
    and the result is a float model with a calibration cache for the TensorRT of `jetpack` (left
    out: the newest known); where `model` holds Q/DQ its ranges are kept, and only those that it
    lacks are measured. With `from_cache` the ranges are those of a TensorRT calibration cache.
    Raises InputError, ModelError, ContractError, StaleError,
    calibration.CalibrationError and targets.TargetError.
    """
    started = time.monotonic()
    decision = _decide(target, dla=dla, jetpack=jetpack)
    implicit = decision is not None and decision.form == "calibration-cache"
    kind = "dla" if implicit else "int8"
    out = out or model.with_name(f"{model.name.removesuffix('.onnx')}.{kind}.onnx")
    check_writable(out)
    source = open_model(model)
    keeps_ranges = implicit and from_cache is None  # of Q/DQ that is there already
    parsed = read_onnx(model)
    quantized = is_quantized(parsed)
    if quantized and not keeps_ranges:
        raise InputError(
            f"{model} is quantized already: calibrate the float model it was made from.",
            next_command=f"edgekit inspect {quoted(model)}",
        )
    scheme = SCHEMES[decision.scheme if decision else "tensorrt"]
    if explicit_shifts:
        check_explicit(scheme_for_cache(scheme) if implicit else scheme)
    if explicit_shifts and from_cache is not None:
        raise InputError(
            "A calibration cache has no range of a shifted activation.",
            next_command=f"edgekit calibrate {quoted(model)} --images DIR --explicit-shifts",
        )
    if from_cache is not None:
        result = quantized_from_cache(source, from_cache, scheme)
        return _written(result, source, out, decision, started=started)
    listed = _listed(manifest, images, seed=seed, random_data=random_data)
    if listed is not None:
        chosen, digests, seed = listed.images, listed.digests, listed.seed
    else:
        chosen = () if random_data else _choose(images, source.contract, samples=samples, seed=seed)
        digests = tuple(image_digest(image.path) for image in chosen)
    if write_manifest is not None:
        write_calibration_manifest(write_manifest, images, chosen, digests, seed)

    def data() -> Iterable[NDArray[np.float32]]:
        if random_data:
            return _noise(source.contract, samples=samples, seed=seed)
        return (
            batch for batch, _ in batches(chosen, source.contract.preprocess, batch_size=_BATCH)
        )

    if quantized:
        result = quantized_from_qdq(source, scheme_for_cache(scheme), images=digests)
        return _written(result, source, out, decision, started=started, data=data)
    result = quantize(
        parsed,
        data,
        scheme=scheme_for_cache(scheme) if implicit else scheme,
        method=method,
        effort=effort,
        explicit_shifts=explicit_shifts,
        levels=levels_of(source.contract.preprocess),
        seed=seed,
        model_digest=source.digest,
        images=digests,
        uncalibrated=random_data,
        progress=lambda step, done, total: progress(Progress(step, done, total)),
    )
    if not (implicit or random_data):
        progress(Progress("confidence on calibration images", 0, 1))
        result = with_confidences(result, chosen, source.contract.preprocess)
    return _written(result, source, out, decision, started=started, data=data, progress=progress)


def _written(
    result: Quantized,
    source: OnnxModel,
    out: Path,
    decision: Decision | None,
    *,
    started: float,
    data: Batches | None = None,
    progress: ProgressCallback = silent,
) -> Calibration:
    """Write `result` in the form its target reads, and return the record."""
    cache = None
    if decision is not None and decision.form == "calibration-cache":
        pair = write_pair(
            result,
            source,
            out,
            batches=data,
            decision=decision,
            progress=lambda done: progress(Progress("all tensors", done, result.table.samples)),
        )
        written, cache = pair.model, pair.cache
    else:
        written = write_int8_model(result, source, out)
        write_golden(make_golden(written, float_model=source), written.path)
    return Calibration(
        model=written,
        table=table_path(out),
        samples=result.table.samples,
        method=result.table.method,
        effort=result.table.effort,
        quantized=result.quantized,
        float_layers=result.float_layers,
        float_reasons=result.float_reasons,
        int8_mac_share=result.int8_mac_share,
        seconds=time.monotonic() - started,
        notes=(*result.notes, *_map_note(source, written)),
        cache=cache,
    )


def _map_note(source: OnnxModel, written: OnnxModel) -> tuple[str, ...]:
    if written.contract.activation_map or not source.contract.activation_map:
        return ()
    return ("no class activation map: a DLA has not its operators",)


def _decide(target: str, *, dla: bool, jetpack: str) -> Decision | None:
    """Return how `target` takes INT8; None without a target."""
    if target:
        return decide(get(target), precision="int8", dla=dla, jetpack=jetpack or None)
    if dla or jetpack:
        raise InputError(
            "A DLA and a JetPack are those of a device, and no target was given.",
            next_command="edgekit calibrate MODEL.onnx --images DIR --target "
            "jetson-orin-nx-16gb --dla",
        )
    return None


def _listed(
    manifest: Path | None, images: Path | None, *, seed: int, random_data: bool
) -> CalibrationManifest | None:
    """Return what a manifest lists; None without one."""
    if manifest is None:
        return None
    fix = f"edgekit calibrate MODEL.onnx --images DIR --manifest {quoted(manifest)}"
    if random_data or images is None:
        raise InputError(
            f"{manifest} lists images: it needs the folder they lie in, and no random data.",
            next_command=fix,
        )
    found = read_manifest(manifest, images)
    if seed not in (0, found.seed):
        raise InputError(
            f"{manifest} was made with seed {found.seed}; seed {seed} would give another table.",
            next_command=fix,
        )
    return found


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
