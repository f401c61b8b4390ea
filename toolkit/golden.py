"""Golden inputs: generated pictures and the logits that a model's own graph gives for them.

An engine must give the logits of *its own* graph. How close it can come depends on the graph: in
a deep INT8 network one rounding that falls the other way moves roundings in every later layer, so
two right evaluations drift apart (MobileNetV2 in INT8: a change of the input by 1/20 grey level,
or another order of additions, leaves 10 to 20 dB). So the graph's own stability is measured along
with the reference, and an engine need not come closer than that. A graph that quantizes the picture
on its own levels rounds so small a change away: there one pixel in fifty moves by a whole level,
which is about what the small change does to the codes of other graphs.
"""

from __future__ import annotations

import io
import zipfile
import zlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from calibration.sqnr import sqnr_db
from toolkit.artifacts import OnnxModel
from toolkit.atomic import write_bytes
from toolkit.contract import Contract
from toolkit.errors import InputError, StaleError
from toolkit.runtime import Session, open_session
from toolkit.shell import quoted

__all__ = [
    "Golden",
    "GoldenReport",
    "generated_images",
    "golden_for",
    "golden_path",
    "make_golden",
    "read_golden",
    "verify",
    "write_golden",
]

_MAX_BYTES = 1 << 28
_NUDGE = 0.05  # grey levels; a float network moves by 57 dB, far beyond what is asked
_MOVED = 0.02  # of the pixels, by a whole level, where the nudge is lost in rounding
_STRAY_DB = 3.0  # two evaluations, each as far off as the nudged one, are 3 dB farther apart
_ENOUGH_DB = 30.0
_MOST_DB = 200.0

Logits = NDArray[np.float32]


@dataclass(frozen=True)
class Golden:
    """Pictures uint8 (n, H, W, C) and what the model with digest `model` answers, (n, classes).

    `own`: its graph evaluated in float. `nudged`: the same, each pixel moved by up to 1/20 grey
    level (or, where that is rounded away, one in fifty by a whole one). `fp32`: the float model
    it was quantized from, where that was at hand.
    """

    model: str
    images: NDArray[np.uint8]
    own: Logits
    nudged: Logits
    fp32: Logits | None = None


@dataclass(frozen=True)
class GoldenReport:
    """How an engine compares; signal-to-noise ratios of the logits in dB."""

    sqnr_db: float
    """Against its own graph, evaluated in float."""
    required_db: float
    """30 dB, or 3 dB less than the graph's own stability where that is lower."""
    top1_equal: bool
    """Equal winners, not counting ties that the graph's own instability leaves open."""
    against_fp32_sqnr_db: float | None
    """Against the float model: what quantization itself cost. Reported, not judged."""

    @property
    def passed(self) -> bool:
        """Return whether the engine computes what its graph says."""
        return self.finite and self.sqnr_db >= self.required_db and self.top1_equal

    @property
    def finite(self) -> bool:
        """Return whether the engine answered numbers: NaN leaves nothing of the signal."""
        return self.sqnr_db > -_MOST_DB


def golden_path(model: Path) -> Path:
    """Return where the golden file of `model.int8.onnx` lies: `model.int8.golden.npz`."""
    return model.with_name(f"{model.name.removesuffix('.onnx')}.golden.npz")


def generated_images(contract: Contract, *, count: int = 8, seed: int = 0) -> NDArray[np.uint8]:
    """Return pictures (count, H, W, C) with structure at every scale; equal seeds, equal pictures.

    The spectrum (amplitude falling with the root of the frequency, colours mostly in step) was
    chosen so that INT8 MobileNetV2 loses on them about what it loses on photographs.
    """
    generator = np.random.default_rng(seed)
    height, width = contract.preprocess.height, contract.preprocess.width
    channels = contract.preprocess.channels
    cells = [cell for cell in (2, 4, 8, 16, 32, 64, 128) if cell <= max(height, width)] or [1]

    def plane(scales: list[int]) -> NDArray[np.float64]:
        total = np.zeros((height, width))
        for cell in scales:
            noise = generator.standard_normal((cell, cell)).astype(np.float32)
            grown = Image.fromarray(noise).resize((width, height), Image.Resampling.BICUBIC)
            total += np.asarray(grown, np.float64) / cell**0.5
        return total / (total.std() or 1.0)

    made = []
    for _ in range(count):
        light = plane(cells)
        colours = np.stack([plane(cells[:4]) for _ in range(channels)], axis=-1)
        made.append(120.0 + 55.0 * (light[..., None] + 0.3 * colours))
    return np.clip(np.rint(np.stack(made)), 0, 255).astype(np.uint8)


def make_golden(
    model: OnnxModel,
    *,
    float_model: OnnxModel | None = None,
    images: NDArray[np.uint8] | None = None,
    seed: int = 0,
) -> Golden:
    """Return the golden inputs and references of `model`.

    `float_model` is what it was quantized from. `images` are pixels (n, H, W, C) after resize and
    crop, RGB; generated from `seed` where left out. Raises InputError when their shape is wrong.
    """
    contract = model.contract
    if images is None:
        images = generated_images(contract, seed=seed)
    shape = (contract.preprocess.height, contract.preprocess.width, contract.preprocess.channels)
    if images.dtype != np.uint8 or images.shape[1:] != shape or not len(images):
        raise InputError(
            f"Golden images must be uint8 (n, {', '.join(map(str, shape))}), "
            f"got {images.dtype} {images.shape}.",
            next_command=f"edgekit inspect {quoted(model.path)}",
        )
    batch = contract.preprocess.normalise(images)
    with open_session(model.path, backend="onnxruntime-float") as session:
        own = _run(session, batch)
        nudged = _run(session, _nudge(batch, contract, seed))
        if np.array_equal(nudged, own):
            nudged = _run(session, _nudge(batch, contract, seed, whole=True))
    if float_model is None:
        return Golden(model.digest, images, own, nudged)
    with open_session(float_model.path, backend="onnxruntime-float") as session:
        return Golden(model.digest, images, own, nudged, _run(session, batch))


def write_golden(golden: Golden, model: Path) -> Path:
    """Write `golden` beside `model`, atomically, and return its path."""
    arrays = {
        "model": np.array(golden.model),
        "images": golden.images,
        "own": golden.own,
        "nudged": golden.nudged,
    }
    if golden.fp32 is not None:
        arrays["fp32"] = golden.fp32
    buffer = io.BytesIO()
    np.savez_compressed(buffer, **arrays)  # type: ignore[arg-type]  # numpy's stub takes bool there
    write_bytes(golden_path(model), buffer.getvalue())
    return golden_path(model)


def read_golden(model: OnnxModel) -> Golden:
    """Return the golden file beside `model`.

    Raises InputError when it is missing or damaged, StaleError when it belongs to other bytes.
    """
    path = golden_path(model.path)
    again = f"edgekit calibrate MODEL.onnx --images DIR --out {quoted(model.path)}"
    try:
        golden = _read(path)
    except OSError as error:
        raise InputError(
            f"{path} cannot be read: {error.strerror or error}.", next_command=again
        ) from error
    except (ValueError, KeyError, EOFError, MemoryError, zipfile.BadZipFile, zlib.error) as error:
        raise InputError(f"{path} is damaged ({error}).", next_command=again) from error
    if golden.model != model.digest:
        raise StaleError(
            f"{path} belongs to another version of {model.path.name} "
            f"(SHA-256 {golden.model[:12]}, this one {model.digest[:12]}).",
            next_command=again,
        )
    return golden


def golden_for(model: OnnxModel) -> Golden:
    """Return the golden file beside `model` if it belongs to it, else a new one, not written."""
    try:
        return read_golden(model)
    except (InputError, StaleError):
        return make_golden(model)  # an ONNX file from elsewhere has none; its graph is enough


def verify(session: Session, golden: Golden) -> GoldenReport:
    """Return how the answers of `session` compare with the references."""
    answers = _run(session, session.contract.preprocess.normalise(golden.images))
    stable_db = _capped_db(golden.own, golden.nudged)
    open_by = np.abs(golden.nudged - golden.own).max(axis=1)
    winners = answers.argmax(axis=1)
    best = golden.own.max(axis=1)
    behind = best - golden.own[np.arange(len(best)), winners]
    return GoldenReport(
        sqnr_db=_capped_db(golden.own, answers),
        required_db=min(_ENOUGH_DB, stable_db - _STRAY_DB),
        top1_equal=bool(np.all(behind <= 2.0 * open_by)),
        against_fp32_sqnr_db=None if golden.fp32 is None else _capped_db(golden.fp32, answers),
    )


def _read(path: Path) -> Golden:
    with zipfile.ZipFile(path) as archive:
        size = sum(member.file_size for member in archive.infolist())
    if size > _MAX_BYTES:  # what it would unpack to, however small it is packed
        raise ValueError(f"it would unpack to {size / 2**20:.0f} MiB")
    with np.load(path, allow_pickle=False) as arrays:
        golden = Golden(
            model=str(arrays["model"]),
            images=arrays["images"],
            own=arrays["own"],
            nudged=arrays["nudged"],
            fp32=arrays.get("fp32"),
        )
    count = len(golden.images)
    logits = [golden.own, golden.nudged] + ([] if golden.fp32 is None else [golden.fp32])
    shapes = {array.shape for array in logits}
    if golden.images.ndim != 4 or len(shapes) != 1 or len(logits[0]) != count or count == 0:
        raise ValueError(f"{count} images {golden.images.shape}, logits {sorted(shapes)}")
    return golden


def _nudge(
    batch: NDArray[np.float32], contract: Contract, seed: int, *, whole: bool = False
) -> NDArray[np.float32]:
    """Move every pixel by up to _NUDGE of a grey level, or a few by a `whole` one."""
    generator = np.random.default_rng(seed + 1)
    grey_level = contract.preprocess.scale / np.asarray(contract.preprocess.std)
    moved = generator.uniform(-_NUDGE, _NUDGE, batch.shape)
    if whole:
        moved = np.sign(moved) * (generator.random(batch.shape) < _MOVED)
    return np.asarray(batch + moved * grey_level.reshape(-1, 1, 1), dtype=np.float32)


def _run(session: Session, batch: NDArray[np.float32]) -> Logits:
    """Run `batch` in the pieces the session takes; a fixed batch is filled with repeats."""
    size = session.contract.input_shape[0] or 1
    answers = []
    for start in range(0, len(batch), size):
        piece = batch[start : start + size]
        filled = np.concatenate([piece] + [piece[-1:]] * (size - len(piece)))
        answers.append(session.infer(filled)[: len(piece)])
    return np.concatenate(answers)


def _capped_db(reference: Logits, answers: Logits) -> float:
    """Return the SQNR within ±200 dB: a manifest is JSON, which has no infinity."""
    return max(-_MOST_DB, min(_MOST_DB, sqnr_db(reference, answers)))
