"""Where models come from: every row turns one kind of SOURCE into a checked float graph.

Add a source with one function `(request: Request) -> Imported` and one row here.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import onnx

from toolkit.preprocess import Preprocess
from toolkit.progress import ProgressCallback, silent

__all__ = ["SOURCES", "SUFFIXES", "Imported", "Request"]

SOURCES = {
    "torchvision": "toolkit.sources.torchvision_source:open_source",
    "timm": "toolkit.sources.timm_source:open_source",
    "checkpoint": "toolkit.sources.checkpoint_source:open_source",
    "exported-program": "toolkit.sources.exported_program:open_source",
    "onnx": "toolkit.sources.onnx_source:open_source",
}
"""`torchvision:` and `timm:` are written before a NAME; a file is told by its suffix."""

SUFFIXES = {
    ".pth": "checkpoint",
    ".pt": "checkpoint",
    ".ckpt": "checkpoint",
    ".pt2": "exported-program",
    ".onnx": "onnx",
}


@dataclass(frozen=True)
class Request:
    """What was asked for: `name` is a network or a file, `weights` what followed the `@`.

    `preprocess` and `labels` are the user's choice, and None where the source must say.
    """

    name: str
    weights: str = ""
    arch: str | None = None
    opset: int = 20
    preprocess: str | None = None
    labels: Path | None = None
    progress: ProgressCallback = silent

    @property
    def path(self) -> Path:
        """Return the file that `name` names."""
        return Path(self.name)


@dataclass(frozen=True)
class Imported:
    """A float classifier with all that its contract needs.

    `source` says in words where weights, preprocessing and labels came from. `parent` is the
    SHA-256 of the file, "" if there was none.
    """

    model: onnx.ModelProto
    preprocess: Preprocess
    labels: tuple[str, ...]
    ids: tuple[str, ...]
    source: str
    parent: str = ""
    precision: str = "fp32"
    max_abs_diff: float = 0.0
    """Largest |logit| difference from the source framework; 0 for a graph that came as ONNX."""
