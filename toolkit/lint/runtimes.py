"""RUNTIMES: what lint can judge a graph for, and which of them a device has. Add a runtime here."""

from __future__ import annotations

from dataclasses import dataclass, replace

from calibration.schemes import SCHEMES, Scheme
from targets import decide, get
from targets.generations import generation_of
from targets.versions import Version, version_from_text
from toolkit.errors import InputError

__all__ = ["RUNTIMES", "Runtime", "runtime_named", "runtime_of_target"]


@dataclass(frozen=True)
class Runtime:
    """What one runtime takes.

    `family`: "tensorrt", "tensorrt-rtx", "dla" or "onnxruntime". `tensorrt` is the version the
    row stands for, () where there is none. `opset` is the newest its documents name.
    """

    name: str
    title: str
    family: str
    scheme: Scheme
    opset: int
    strongly_typed: bool
    tensorrt: Version = ()

    @property
    def is_tensorrt(self) -> bool:
        """Return whether NVIDIA's ONNX parser reads the graph."""
        return self.family != "onnxruntime"

    @property
    def takes_qdq(self) -> bool:
        """Return whether INT8 comes from Q/DQ in the graph; else from a calibration cache."""
        return self.family != "dla"


def _classic(name: str, title: str, version: Version, *, family: str = "tensorrt") -> Runtime:
    row = generation_of(version)
    scheme = SCHEMES[row.scheme]
    return Runtime(name, title, family, scheme, row.opset, row.strongly_typed, version)


RUNTIMES: dict[str, Runtime] = {
    runtime.name: runtime
    for runtime in (
        _classic("tensorrt-8.5", "TensorRT 8.5", (8, 5)),
        _classic("tensorrt-8.6", "TensorRT 8.6", (8, 6)),
        _classic("tensorrt-10", "TensorRT 10", (10, 0)),
        _classic("tensorrt-11", "TensorRT 11", (11, 0)),
        Runtime(
            "tensorrt-rtx",
            "TensorRT-RTX",
            "tensorrt-rtx",
            SCHEMES["tensorrt-rtx"],
            SCHEMES["tensorrt-rtx"].max_opset,
            True,
        ),
        _classic("dla", "the DLA (TensorRT 8.5 to 10.7)", (10, 0), family="dla"),
        Runtime(
            "onnxruntime",
            "ONNX Runtime (x86)",
            "onnxruntime",
            SCHEMES["onnxruntime-x86"],
            SCHEMES["onnxruntime-x86"].max_opset,
            False,
        ),
    )
}


def runtime_named(name: str) -> Runtime:
    """Return the row of RUNTIMES. Raises InputError for an unknown name."""
    if name not in RUNTIMES:
        raise InputError(
            f"Unknown runtime {name!r}; known are {', '.join(RUNTIMES)}.",
            next_command="edgekit lint MODEL.onnx --runtime tensorrt-rtx",
        )
    return RUNTIMES[name]


def runtime_of_target(name: str, *, quantized: bool) -> Runtime:
    """Return the runtime that a device gets for an INT8 or a float graph.

    Raises TargetError for an unknown device, and for one without INT8.
    """
    decision = decide(get(name), precision="int8" if quantized else "fp32")
    if decision.backend == "onnxruntime":
        scheme = SCHEMES[decision.scheme] if decision.scheme else RUNTIMES["onnxruntime"].scheme
        title = f"ONNX Runtime ({decision.target})"
        return replace(RUNTIMES["onnxruntime"], scheme=scheme, title=title)
    if decision.backend == "tensorrt_rtx":
        return RUNTIMES["tensorrt-rtx"]
    version = version_from_text(decision.tensorrt or "", what="TensorRT")
    row = _row_of(version)
    return replace(
        row,
        title=f"TensorRT {decision.tensorrt}",
        opset=decision.opset,
        strongly_typed=decision.strongly_typed,
        tensorrt=version,
    )


def _row_of(version: Version) -> Runtime:
    if version[0] >= 11:
        return RUNTIMES["tensorrt-11"]
    if version[0] >= 10:
        return RUNTIMES["tensorrt-10"]
    return RUNTIMES["tensorrt-8.6" if version[:2] >= (8, 6) else "tensorrt-8.5"]
