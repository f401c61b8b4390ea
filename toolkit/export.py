"""`edgekit export`: a checkpoint in, an ONNX file with its deployment contract out."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from toolkit.artifacts import OnnxModel
from toolkit.atomic import check_writable
from toolkit.float_model import opset_for, write_float_model
from toolkit.lazy import load
from toolkit.networks import INSTALL_TRAIN
from toolkit.progress import ProgressCallback, silent
from toolkit.sources import Imported, Request

__all__ = ["ExportResult", "export"]


@dataclass(frozen=True)
class ExportResult:
    """`max_abs_diff` is the largest |logit| difference between PyTorch and the FP32 graph."""

    model: OnnxModel
    max_abs_diff: float


def export(
    checkpoint: Path,
    *,
    out: Path,
    opset: int = 20,
    precision: str = "fp32",
    target: str = "",
    batch: int | None = None,
    cam: bool = False,
    progress: ProgressCallback = silent,
) -> ExportResult:
    """Write the network of `checkpoint` to `out`, checked against PyTorch.

    The batch is dynamic unless `batch` fixes it; `target` lowers the opset to what it reads; `cam`
    adds the class activation map of the winner as a second output.
    Raises CheckpointError for a file `edgekit train` did not write, ModelError when the graph
    cannot be exported or computes something else, InputError for an impossible option, TargetError.
    """
    opset = opset_for(target, opset=opset, precision=precision)
    check_writable(out)
    open_checkpoint = load(
        "toolkit.sources.checkpoint_source:open_checkpoint",
        what="Exporting a checkpoint",
        install=INSTALL_TRAIN,
    )
    found: Imported = open_checkpoint(Request(name=str(checkpoint), opset=opset, progress=progress))
    model = write_float_model(
        found, out=out, precision=precision, batch=batch, cam=cam, progress=progress
    )
    return ExportResult(model, found.max_abs_diff)
