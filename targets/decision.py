"""The answer to "how is a model built for this device?", as a record."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["ANYWHERE", "FORMS", "ON_THE_DEVICE", "OVER_SSH", "Decision"]

ANYWHERE = "anywhere, ahead of time"
ON_THE_DEVICE = "on the device"
OVER_SSH = "over SSH"

FORMS = {
    "fp32": "a float graph",
    "fp16-strongly-typed": "FP16 tensors in the graph",
    "fp16-flag": "a float graph and the builder flag FP16",
    "qdq-strongly-typed": "Q/DQ in the graph, which alone decides what runs in INT8",
    "qdq-flags": "Q/DQ in the graph and the builder flags INT8 and FP16",
    "calibration-cache": "a float graph, a TensorRT calibration cache, the flags INT8 and FP16",
    "qdq-onnxruntime": "Q/DQ in the graph, fused into integer kernels when it is opened",
}


@dataclass(frozen=True)
class Decision:
    """What to build for a target, in which form, and the reasons."""

    target: str
    precision: str
    backend: str
    """One of BACKENDS; "trtexec" where the device's Python is too old for Edgekit."""
    form: str
    """A key of FORMS."""
    opset: int
    """The newest ONNX opset to export with."""
    scheme: str
    """A key of calibration's SCHEMES for INT8, else ""."""
    strongly_typed: bool
    """Whether TensorRT reads precision from the graph and takes no precision flag."""
    builder_flags: tuple[str, ...]
    """INT8 and FP16 where precision is a builder flag; empty where it is in the graph."""
    where: str
    """ANYWHERE, ON_THE_DEVICE or OVER_SSH: where the engine can be built."""
    jetpack: str | None
    tensorrt: str | None
    dla: bool
    runs_edgekit: bool
    """Whether Edgekit runs on the device; else engines are measured there with trtexec."""
    recentring: str
    """Whether recentred activations (a Pad before Q) leave the kernels as they were."""
    untried: bool
    """True where a version is newer than the table, or NVIDIA's documents leave it open."""
    reasons: tuple[str, ...]
