"""What a TensorRT offers, asked of its module by name: no version is compared anywhere."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from toolkit.build.request import BuildRequest
from toolkit.errors import BuildError

__all__ = ["Offers", "Typing", "offers_of", "typing_for"]

_FLAGS_OF = {"fp32": (), "fp16": ("FP16",), "int8": ("INT8", "FP16")}


@dataclass(frozen=True)
class Offers:
    """The differences between TensorRT 8.5 and 11 (and TensorRT-RTX) that a build meets."""

    explicit_batch_flag: bool
    """Networks have a batch dimension only when asked for (8), or always (11)."""
    strongly_typed: bool
    """Precision can be read from the graph."""
    precision_flags: tuple[str, ...]
    """INT8 and FP16 where precision can be a builder flag."""
    progress_monitor: bool
    calibration_cache: bool
    """INT8 can come from a table of ranges instead of Q/DQ."""
    version_compatible: bool
    hardware_levels: tuple[str, ...]
    dla: bool
    needs_no_gpu: bool
    """TensorRT-RTX: the architectures are named, and a timing cache would ask for a GPU."""


@dataclass(frozen=True)
class Typing:
    """How precision reaches the builder: from the graph, or as these flags."""

    strongly_typed: bool
    flags: tuple[str, ...]


def offers_of(trt: Any) -> Offers:
    """Return what the bindings `trt` offer."""
    creation, flags = trt.NetworkDefinitionCreationFlag, trt.BuilderFlag
    levels = getattr(trt, "HardwareCompatibilityLevel", None)
    return Offers(
        explicit_batch_flag=hasattr(creation, "EXPLICIT_BATCH"),
        strongly_typed=hasattr(creation, "STRONGLY_TYPED"),
        precision_flags=tuple(name for name in ("INT8", "FP16") if hasattr(flags, name)),
        progress_monitor=hasattr(trt, "IProgressMonitor"),
        calibration_cache=hasattr(trt, "IInt8EntropyCalibrator2"),
        version_compatible=hasattr(flags, "VERSION_COMPATIBLE"),
        hardware_levels=tuple(
            name for name in ("AMPERE_PLUS", "SAME_COMPUTE_CAPABILITY") if hasattr(levels, name)
        ),
        dla=hasattr(trt.DeviceType, "DLA") and hasattr(flags, "GPU_FALLBACK"),
        needs_no_gpu=hasattr(trt.IBuilderConfig, "set_compute_capability"),
    )


def typing_for(request: BuildRequest, offers: Offers, *, implicit: bool = False) -> Typing:
    """Return how `request`'s precision reaches the builder.

    Flags where the decision for the target asks for them and they exist, else strong typing where
    it exists, else the flags that the graph's precision needs. `implicit`: INT8 from a calibration
    cache, which needs flags. Raises BuildError when none of these is offered.
    """
    wanted = request.flags
    if wanted and set(wanted) <= set(offers.precision_flags):
        return Typing(False, wanted)
    if offers.strongly_typed and not implicit:
        return Typing(True, ())
    needed = _FLAGS_OF["int8" if implicit else request.model.contract.precision]
    missing = [flag for flag in needed if flag not in offers.precision_flags]
    if missing:
        raise BuildError(
            f"{request.model.path} needs the builder flag {' and '.join(missing)}, which this "
            "TensorRT does not have.",
            next_command=f"edgekit targets {request.target}",
        )
    return Typing(False, needed)
