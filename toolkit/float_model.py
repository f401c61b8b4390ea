"""A checked float graph in, `model.onnx` with its deployment contract out, in FP32 or FP16."""

from __future__ import annotations

from pathlib import Path

import onnx

from calibration.precision import fp16_model
from targets import decide, get
from toolkit.activation_map import add_activation_map
from toolkit.artifacts import OnnxModel
from toolkit.contract import Contract
from toolkit.errors import InputError
from toolkit.onnx_model.batch import fix_batch
from toolkit.onnx_model.file import write_onnx
from toolkit.onnx_model.signature import signature_of
from toolkit.progress import Progress, ProgressCallback, silent
from toolkit.sample_inputs import sample_inputs
from toolkit.sources import Imported

__all__ = ["OPSETS", "check_options", "opset_for", "write_float_model"]

OPSETS = range(17, 21)
"""17 is what TensorRT 8.5 reads, 20 what TensorRT 10 and later and ONNX Runtime read."""

_PRECISIONS = ("fp32", "fp16")


def check_options(*, opset: int, precision: str) -> None:
    """Raise InputError unless `opset` and `precision` can be written."""
    if opset not in OPSETS:
        raise InputError(
            f"Opset {opset} cannot be written, only {OPSETS[0]} (TensorRT 8.5) to {OPSETS[-1]}.",
            next_command="edgekit import SOURCE --opset 17 --out model.onnx",
        )
    if precision == "int8":
        raise InputError(
            "INT8 needs ranges, which come from calibration images.",
            next_command="edgekit calibrate model.onnx --images DIR",
        )
    if precision not in _PRECISIONS:
        raise InputError(
            f"Unknown precision {precision!r}: {' or '.join(_PRECISIONS)}.",
            next_command="edgekit import SOURCE --precision fp16 --out model.onnx",
        )


def opset_for(target: str, *, opset: int, precision: str) -> int:
    """Return `opset`, or the newest one that the runtime of `target` reads if that is lower.

    Raises TargetError for an unknown device, InputError for one that reads no opset we write and
    for options that `check_options` refuses.
    """
    check_options(opset=opset, precision=precision)
    if not target:
        return opset
    newest = decide(get(target), precision=precision).opset
    if newest < OPSETS[0]:
        raise InputError(
            f"{target} reads ONNX up to opset {newest}, and {OPSETS[0]} is the lowest that can be "
            "written.",
            next_command="edgekit targets",
        )
    return min(opset, newest)


def write_float_model(
    found: Imported,
    *,
    out: Path,
    precision: str = "fp32",
    batch: int | None = None,
    cam: bool = False,
    progress: ProgressCallback = silent,
) -> OnnxModel:
    """Write `found` to `out`, atomically, with its contract; `batch` fixes a dynamic batch.

    With `cam` the class activation map of the winner becomes a second output, in float32.

    FP16 keeps the input and output in float32, and in float whatever would overflow on generated
    pictures. Raises ModelError, MachineError, and calibration.CalibrationError.
    """
    model = found.model
    if batch is not None:
        model = fix_batch(model, batch, where=out.name)
    if precision == "fp16" and found.precision != "fp16":
        model = _fp16(model, found, progress)
    if cam:
        model = add_activation_map(model, where=out.name)
    progress(Progress("write", 0, 1, out.name))
    signature = signature_of(model, where=out)
    contract = Contract(
        input_name=signature.input_name,
        input_shape=signature.input_shape,
        input_type=signature.input_type,
        preprocess=found.preprocess,
        labels=found.labels,
        ids=found.ids,
        source=found.source,
        parent=found.parent,
        precision=precision if found.precision == "fp32" else found.precision,
        activation_map=signature.activation_map,
    )
    written = write_onnx(model, out, contract)
    progress(Progress("write", 1, 1, out.name))
    return written


def _fp16(
    float_model: onnx.ModelProto, found: Imported, progress: ProgressCallback
) -> onnx.ModelProto:
    step = "convert to FP16"
    progress(Progress(step, 0, 1))
    batch = signature_of(float_model, where=Path(found.source)).input_shape[0] or 2
    inputs = [sample_inputs(found.preprocess, batch, seed=seed) for seed in range(4)]
    model, notes = fp16_model(float_model, batches=inputs)
    progress(Progress(step, 1, 1, f"{len(notes)} remarks: {notes[0]}" if notes else ""))
    return model
