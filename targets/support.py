"""Which backend, precision form, opset and scheme a device gets, and why: `decide`.

The facts are in catalog.csv (devices) and generations.py (JetPack and TensorRT releases). What
cannot work raises TargetError; what nobody has tried is answered, and marked `untried`.
"""

from __future__ import annotations

from dataclasses import replace

from targets.catalog import BACKENDS, PRECISIONS, Target
from targets.classic import decide_tensorrt
from targets.decision import ANYWHERE, Decision
from targets.errors import TargetError

__all__ = ["RTX_SMS", "decide"]

# Seen in the graph that ONNX Runtime 1.32 optimised on x86-64: Cast, Conv (float), Cast.
_CPU_FP16 = {
    "cpu-x86": "ONNX Runtime computes FP16 graphs in FP32 between casts: nothing is gained",
    "cpu-arm64": "whether FP16 is faster than FP32 on an ARM CPU was not measured",
}
_CPU_INT8 = {
    "cpu-x86": "without VNNI u8*s8 products saturate in 16 bits: 7-bit weights",
    "cpu-x86-vnni": "VNNI adds u8*s8 products in 32 bits: 8-bit weights",
    "cpu-arm64": "NEON adds products in 32 bits: 8-bit weights",
}
_RTX_TURING_LACKS = {"int8": "has no INT8", "fp32": "refuses FP32 matrix products"}
RTX_SMS = (75, 80, 86, 89, 120, 121)  # trt.ComputeCapability of TensorRT-RTX 1.7.1


def decide(
    target: Target,
    *,
    precision: str,
    jetpack: str | None = None,
    tensorrt: str | None = None,
    dla: bool = False,
    backend: str = "auto",
) -> Decision:
    """Return what to build for `target` at `precision` ("fp32", "fp16" or "int8").

    `jetpack` and `tensorrt` are versions as text; left out, the newest known one is assumed and the
    reasons say so. `backend` overrides the choice. Raises TargetError for what cannot work.
    """
    if precision not in PRECISIONS:
        raise TargetError(
            f"Unknown precision {precision!r}: it is fp32, fp16 or int8.",
            next_command=f"edgekit build model.onnx --target {target.id}",
        )
    if backend not in ("auto", *BACKENDS):
        raise TargetError(
            f"Unknown backend {backend!r}: it is one of {', '.join(BACKENDS)}.",
            next_command=f"edgekit build model.onnx --target {target.id}",
        )
    _check_versions_belong(target, jetpack=jetpack, tensorrt=tensorrt, dla=dla)
    if target.is_cpu:
        return _decide_cpu(target, precision, backend)
    if backend == "onnxruntime":
        raise TargetError(
            f"ONNX Runtime builds for CPUs here, not for {target.name}.",
            next_command="edgekit build model.onnx --target cpu",
        )
    if backend == "tensorrt_rtx" or (
        backend == "auto" and _prefers_rtx(target, precision, tensorrt)
    ):
        return _decide_rtx(target, precision, tensorrt)
    decision = decide_tensorrt(
        target, precision, jetpack=jetpack, tensorrt=tensorrt, dla=dla, backend=backend
    )
    if target.sm == 75 and backend == "auto" and tensorrt is None:
        reason = f"TensorRT-RTX {_RTX_TURING_LACKS[precision]} on Turing"
        return replace(decision, reasons=(*decision.reasons, reason))
    return decision


def _check_versions_belong(
    target: Target, *, jetpack: str | None, tensorrt: str | None, dla: bool
) -> None:
    plain = f"edgekit build model.onnx --target {target.id}"
    if jetpack is not None and not target.is_jetson:
        raise TargetError(f"{target.name} has no JetPack: it is no Jetson.", next_command=plain)
    if tensorrt is not None and target.is_cpu:
        raise TargetError(f"{target.name} has no TensorRT: it has no GPU.", next_command=plain)
    if dla and not target.dla_cores:
        raise TargetError(f"{target.name} has no DLA.", next_command=plain)


def _decide_cpu(target: Target, precision: str, backend: str) -> Decision:
    if backend not in ("auto", "onnxruntime"):
        raise TargetError(
            f"{backend} needs an NVIDIA GPU, and {target.name} is a CPU.",
            next_command="edgekit targets",
        )
    reasons = {
        "fp32": "ONNX Runtime runs float graphs on any CPU",
        "fp16": _CPU_FP16[target.family],
        "int8": _CPU_INT8[target.id],
    }
    scheme = f"onnxruntime-{target.id.removeprefix('cpu-')}"
    return Decision(
        target=target.id,
        precision=precision,
        backend="onnxruntime",
        form={"fp16": "fp16-strongly-typed", "int8": "qdq-onnxruntime"}.get(precision, "fp32"),
        opset=20,
        scheme=scheme if precision == "int8" else "",
        strongly_typed=False,
        builder_flags=(),
        where=ANYWHERE,
        jetpack=None,
        tensorrt=None,
        dla=False,
        runs_edgekit=True,
        recentring="not needed: activations have zero-points",
        untried=False,
        reasons=(reasons[precision],),
    )


def _prefers_rtx(target: Target, precision: str, tensorrt: str | None) -> bool:
    if tensorrt is not None:  # somebody has that TensorRT and means it
        return False
    return target.backend == "tensorrt_rtx" or (target.sm == 75 and precision == "fp16")


def _decide_rtx(target: Target, precision: str, tensorrt: str | None) -> Decision:
    if tensorrt is not None:
        raise TargetError(
            f"TensorRT {tensorrt} was asked for together with TensorRT-RTX, another product.",
            next_command=f"edgekit build model.onnx --target {target.id}",
        )
    if target.sm not in RTX_SMS or target.is_jetson:
        raise TargetError(
            f"TensorRT-RTX does not know {target.name} (SM {target.sm_text}): it takes TensorRT, "
            "which builds on the device.",
            next_command=f"edgekit build model.onnx --target {target.id} --host USER@DEVICE",
        )
    if target.sm == 75 and precision in _RTX_TURING_LACKS:
        raise TargetError(
            f"TensorRT-RTX {_RTX_TURING_LACKS[precision]} on Turing ({target.name}, SM 7.5).",
            next_command="edgekit export model.pt --precision fp16 --out model.fp16.onnx",
        )
    reasons = ["TensorRT-RTX builds without a GPU; the device compiles kernels on first use"]
    if target.sm == 75:
        reasons.append("SM 7.5 is built on its own, not together with other SMs")
    if precision == "int8":
        reasons.append(
            "the layer table lists INT8 convolutions that write floats, each with a second kernel "
            "that requantizes; no card has been timed"
        )
    forms = {"fp16": "fp16-strongly-typed", "int8": "qdq-strongly-typed"}
    return Decision(
        target=target.id,
        precision=precision,
        backend="tensorrt_rtx",
        form=forms.get(precision, "fp32"),
        opset=20,
        scheme="tensorrt-rtx" if precision == "int8" else "",
        strongly_typed=True,
        builder_flags=(),
        where=ANYWHERE,
        jetpack=None,
        tensorrt=None,
        dla=False,
        runs_edgekit=True,
        recentring="kernels unchanged: the Pad joins the requantize kernel (layer table)",
        untried=False,
        reasons=tuple(reasons),
    )
