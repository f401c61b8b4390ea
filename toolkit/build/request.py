"""What a builder is asked for, and what it says it made."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from toolkit.artifacts import OnnxModel
from toolkit.contract import Contract
from toolkit.errors import InputError
from toolkit.progress import ProgressCallback

__all__ = [
    "COMPATIBLE",
    "BatchRange",
    "BuildRequest",
    "Builder",
    "Built",
    "TensorRTOptions",
    "batch_from_text",
]

COMPATIBLE = {
    "version": "VERSION_COMPATIBLE",
    "hardware": "AMPERE_PLUS",
    "same-sm": "SAME_COMPUTE_CAPABILITY",
}
"""Word of `--compatible` -> what TensorRT calls it: engines that newer versions load, that any GPU
since Ampere loads, that any GPU of the same architecture loads. Each costs speed."""


@dataclass(frozen=True)
class BatchRange:
    """The batch sizes an engine must take; it is tuned for `optimum`."""

    minimum: int
    optimum: int
    maximum: int

    def __str__(self) -> str:
        return f"{self.minimum}:{self.optimum}:{self.maximum}"


@dataclass(frozen=True)
class TensorRTOptions:
    """What only classic TensorRT's builder takes; other targets refuse it with the reason.

    `dla_core`: run on this DLA core, with the GPU for layers it cannot take. `timing_cache`: where
    the builder's timings are kept (default: beside the engine, per GPU and version). `compatible`:
    keys of COMPATIBLE. `guard`: the FP16 engine an INT8 engine is timed against (default: the one
    beside it).
    """

    dla_core: int | None = None
    timing_cache: Path | None = None
    compatible: tuple[str, ...] = ()
    guard: Path | None = None

    def given(self) -> tuple[str, ...]:
        """Return the options that were used, as the command line spells them."""
        used = {
            "--dla-core": self.dla_core is not None,
            "--timing-cache": self.timing_cache is not None,
            "--compatible": bool(self.compatible),
            "--guard": self.guard is not None,
        }
        return tuple(name for name, is_used in used.items() if is_used)


@dataclass(frozen=True)
class BuildRequest:
    """One engine to build. `sms` are GPU architectures, 8.9 as 89; none for a CPU."""

    model: OnnxModel
    target: str
    out: Path
    sms: tuple[int, ...] = ()
    batch: BatchRange | None = None
    workspace_mib: int | None = None
    flags: tuple[str, ...] = ()
    """INT8 and FP16 where the decision for the target wants precision as builder flags."""
    options: TensorRTOptions = TensorRTOptions()
    calibration_cache: Path | None = None
    """Where INT8 comes from TensorRT's cache of ranges and not from Q/DQ: the engine of a float
    model is INT8 then."""


@dataclass(frozen=True)
class Built:
    """What a builder made; the manifest takes it over."""

    contract: Contract
    built_with: str
    built_on: str
    int8_convs: int
    float_convs: int
    kernels: int
    isa: str = ""
    reproducible: bool = True
    notes: tuple[str, ...] = ()
    flags: tuple[str, ...] = ()


Builder = Callable[[BuildRequest, Path, ProgressCallback], Built]
"""Writes the engine to the given temporary path. Raises BuildError."""


def batch_from_text(text: str) -> BatchRange:
    """Return the range in "MIN:OPT:MAX" or "N". Raises InputError when it is none."""
    match = re.fullmatch(r"(\d{1,6})(?::(\d{1,6}):(\d{1,6}))?", text.strip())
    sizes = [int(size) for size in match.groups() if size] if match else []
    if len(sizes) == 1:
        sizes *= 3
    if len(sizes) != 3 or not 1 <= sizes[0] <= sizes[1] <= sizes[2]:
        raise InputError(
            f"The batch {text!r} is not MIN:OPT:MAX with 1 <= MIN <= OPT <= MAX.",
            next_command="edgekit build MODEL.onnx --target NAME --batch 1:4:8",
        )
    return BatchRange(*sizes)
