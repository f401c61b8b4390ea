"""What is compared: the tools with their pinned versions, and how each is run."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from fnmatch import fnmatch

__all__ = ["COMBINATIONS", "EDGEKIT", "PINS", "TOOLS", "Combination", "matching"]

EDGEKIT = "edgekit"

_DEFAULT_SAMPLES = 512  # of `edgekit calibrate`; there are 538 images in all

PINS: dict[str, tuple[str, ...]] = {
    "onnxruntime": ("onnxruntime==1.32.0", "onnx==1.23.2", "sympy==1.14.0", "pillow==13.0.0"),
    "modelopt": ("nvidia-modelopt[onnx]==0.47.0", "pillow==13.0.0"),
    "nncf": ("nncf==3.4.0", "onnx==1.23.2", "onnxruntime==1.32.0", "pillow==13.0.0"),
}
"""What pip installs into each peer's virtual environment; the first is the peer itself."""

TOOLS: dict[str, str] = {
    EDGEKIT: "benchmarks.ptq_peers.quantize_edgekit:quantize",
    "onnxruntime": "benchmarks.ptq_peers.quantize_onnxruntime:quantize",
    "modelopt": "benchmarks.ptq_peers.quantize_modelopt:quantize",
    "nncf": "benchmarks.ptq_peers.quantize_nncf:quantize",
}
"""Tool -> its "module:function", imported in the tool's own process only."""


@dataclass(frozen=True)
class Combination:
    """One tool run in one way. `samples` 0 means all images of the folder.

    `scheme` is one of calibration.schemes, or "cpu" for the one of this machine's CPU. For peers
    it only says how the file is handled afterwards: as a TensorRT file.
    """

    tool: str
    setting: str
    samples: int = 0
    scheme: str = "tensorrt"

    @property
    def key(self) -> str:
        """Return the name by which `--only` finds it."""
        scheme = f"/{self.scheme}" if self.tool == EDGEKIT else ""
        return f"{self.tool}{scheme}/{self.setting}/{self.samples or 'all'}"


def _combinations() -> Iterator[Combination]:
    for scheme in ("tensorrt", "tensorrt-rtx", "cpu"):
        for effort in ("fast", "balanced", "best"):
            yield Combination(EDGEKIT, effort, _DEFAULT_SAMPLES, scheme)
    for effort in ("fast", "balanced", "best"):
        yield Combination(EDGEKIT, effort)
    yield Combination("onnxruntime", "minmax")
    for method in ("percentile", "entropy"):
        for samples in (64, 0):
            yield Combination("onnxruntime", method, samples)
    for setting in ("max", "entropy"):
        yield Combination("modelopt", setting)
    for setting in ("fast", "full", "full-s8"):
        yield Combination("nncf", setting)


COMBINATIONS = tuple(_combinations())


def matching(pattern: str) -> tuple[Combination, ...]:
    """Return the combinations whose key matches the shell pattern; all for ""."""
    return tuple(each for each in COMBINATIONS if fnmatch(each.key, pattern or "*"))
