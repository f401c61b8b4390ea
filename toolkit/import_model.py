"""`edgekit import`: a model from elsewhere in, an ONNX file with its deployment contract out."""

from __future__ import annotations

import difflib
from collections.abc import Callable
from pathlib import Path

from toolkit.artifacts import OnnxModel
from toolkit.atomic import check_writable
from toolkit.errors import InputError
from toolkit.float_model import opset_for, write_float_model
from toolkit.lazy import load
from toolkit.progress import ProgressCallback, silent
from toolkit.shell import quoted
from toolkit.sources import SOURCES, SUFFIXES, Imported, Request

__all__ = ["import_model"]

_PREFIXES = ("torchvision", "timm")
_INSTALL = {
    "torchvision": "pip install 'edgekit[train]'",
    "timm": "pip install 'edgekit[train]' timm",
    "checkpoint": "pip install 'edgekit[train]'",
    "exported-program": "pip install 'edgekit[train]'",
    "onnx": "pip install edgekit",
}


def import_model(
    source: str,
    *,
    out: Path,
    arch: str | None = None,
    opset: int = 20,
    precision: str = "fp32",
    target: str = "",
    batch: int | None = None,
    preprocess: str | None = None,
    labels: Path | None = None,
    cam: bool = False,
    progress: ProgressCallback = silent,
) -> OnnxModel:
    """Write the model that `source` names to `out`, checked against the framework it came from.

    `source` is torchvision:NAME[@WEIGHTS], timm:NAME[@WEIGHTS], file.pth (with `arch`), file.pt2
    or file.onnx. `preprocess` (a name or a .json file) and `labels` (a text file, or "imagenet")
    replace what the source states; a source that states no preprocessing needs it. `precision` is
    "fp32" or "fp16". `target` lowers the opset to what its runtime reads; `batch` fixes a dynamic
    batch. `cam` adds the class activation map of the winner as a second output, for networks that
    end in global average pooling. Raises InputError and its kinds, TargetError,
    MissingDependencyError.
    """
    opset = opset_for(target, opset=opset, precision=precision)
    if out.suffix.lower() != ".onnx":
        raise InputError(
            f"{out} would hold an ONNX model, so its name must end in .onnx.",
            next_command=f"edgekit import {quoted(source)} --out {quoted(f'{out}.onnx')}",
        )
    check_writable(out)
    kind, name, weights = _parse(source)
    open_source: Callable[[Request], Imported] = load(
        SOURCES[kind], what=f"The source {source!r}", install=_INSTALL[kind]
    )
    found = open_source(
        Request(
            name=name,
            weights=weights,
            arch=arch,
            opset=opset,
            preprocess=preprocess,
            labels=labels,
            progress=progress,
        )
    )
    return write_float_model(
        found, out=out, precision=precision, batch=batch, cam=cam, progress=progress
    )


def _parse(source: str) -> tuple[str, str, str]:
    """Return the kind of a SOURCE, the name in it and what followed its `@`."""
    prefix, colon, rest = source.partition(":")
    if colon and prefix in _PREFIXES:
        name, _, weights = rest.partition("@")
        return prefix, name, weights
    path = Path(source)
    suffix = ".pth" if path.name.lower().endswith(".pth.tar") else path.suffix.lower()
    if suffix in SUFFIXES:
        if not path.exists():
            raise InputError(f"{path} does not exist.", next_command=f"ls -l {quoted(path.parent)}")
        return SUFFIXES[suffix], source, ""
    close = difflib.get_close_matches(prefix, _PREFIXES, n=1) if colon else []
    hint = f" Did you mean {close[0]}:{rest}?" if close else ""
    raise InputError(
        f"{source!r} is not a model source.{hint} Known are torchvision:NAME, timm:NAME and files "
        f"ending in {', '.join(SUFFIXES)}.",
        next_command="edgekit import torchvision:mobilenet_v2 --out model.onnx",
    )
