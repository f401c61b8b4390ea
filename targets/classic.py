"""Decisions for TensorRT itself: Jetsons, and GPUs whose TensorRT version was named."""

from __future__ import annotations

from dataclasses import replace

from targets.catalog import Target
from targets.decision import ON_THE_DEVICE, OVER_SSH, Decision
from targets.errors import TargetError
from targets.generations import Generation, generation_of
from targets.stacks import Stack, desktop_stack, jetson_stack
from targets.versions import text_from_version

__all__ = ["SM_WITHOUT_INT8", "decide_tensorrt"]

SM_WITHOUT_INT8 = (53, 62)
DLA_LAST_10 = (10, 7)  # the last TensorRT 10 that NVIDIA's documents name for DLA


def decide_tensorrt(
    target: Target,
    precision: str,
    *,
    jetpack: str | None,
    tensorrt: str | None,
    dla: bool,
    backend: str,
) -> Decision:
    """Return how TensorRT is built for `target`. Raises TargetError for what cannot work."""
    if precision == "int8" and target.sm in SM_WITHOUT_INT8:
        raise TargetError(
            f"{target.name} (SM {target.sm_text}) has no INT8 in TensorRT: its GPU lacks the "
            "instructions, so the float model is built for it.",
            next_command=f"edgekit build model.onnx --target {target.id} --host USER@BOARD",
        )
    if target.is_jetson:
        stack = jetson_stack(target, jetpack=jetpack, tensorrt=tensorrt)
    else:
        stack = desktop_stack(target, tensorrt=tensorrt)
    decision = _classic(target, precision, stack, generation_of(stack.tensorrt))
    if dla:
        decision = _on_dla(target, decision, stack)
    if backend == "trtexec":
        return replace(decision, backend="trtexec", where=OVER_SSH)
    if backend == "tensorrt" and not decision.runs_edgekit:
        raise TargetError(
            f"{target.name} with JetPack {decision.jetpack} has a Python too old for Edgekit: "
            "its engines are built with trtexec.",
            next_command=f"edgekit build model.onnx --target {target.id} --host USER@BOARD",
        )
    return decision


def _classic(target: Target, precision: str, stack: Stack, generation: Generation) -> Decision:
    flags = {"fp32": (), "fp16": ("FP16",), "int8": ("INT8", "FP16")}[precision]
    typed = generation.strongly_typed
    form = {
        "fp32": "fp32",
        "fp16": "fp16-strongly-typed" if typed else "fp16-flag",
        "int8": "qdq-strongly-typed" if typed else "qdq-flags",
    }[precision]
    reasons = [*stack.reasons, "TensorRT builds only on the GPU that will run the engine"]
    if not stack.runs_edgekit:
        reasons.append("the device's Python is older than 3.10: trtexec builds and measures there")
    if target.default_precision == "fp16" and precision == "int8":
        reasons.append("no tensor cores: INT8 may be slower than FP16, measure both")
    return Decision(
        target=target.id,
        precision=precision,
        backend="tensorrt" if stack.runs_edgekit else "trtexec",
        form=form,
        opset=generation.opset,
        scheme=generation.scheme if precision == "int8" else "",
        strongly_typed=typed,
        builder_flags=() if typed else flags,
        where=ON_THE_DEVICE if stack.runs_edgekit else OVER_SSH,
        jetpack=None if stack.jetpack is None else text_from_version(stack.jetpack),
        tensorrt=text_from_version(stack.tensorrt),
        dla=False,
        runs_edgekit=stack.runs_edgekit,
        recentring="unknown",
        untried=stack.untried,
        reasons=tuple(reasons),
    )


def _on_dla(target: Target, decision: Decision, stack: Stack) -> Decision:
    """Change `decision` to the DLA's form. Layers it cannot take fall back to the GPU."""
    plain = f"edgekit build model.onnx --target {target.id}"
    if decision.precision == "fp32":
        raise TargetError(
            f"The DLA of {target.name} computes in FP16 and INT8, not in FP32.",
            next_command=f"edgekit import SOURCE --precision fp16 --target {target.id} "
            "--out model.fp16.onnx",
        )
    reasons = [*decision.reasons, "layers the DLA cannot take run on the GPU"]
    untried = decision.untried
    if stack.tensorrt[0] >= 11:
        if not target.id.startswith("jetson-agx-orin"):
            raise TargetError(
                f"TensorRT 11 has the DLA on AGX Orin only, not on {target.name}.",
                next_command=plain,
            )
        if decision.precision == "int8":
            untried = True
            reasons.append("INT8 from Q/DQ on the DLA of TensorRT 11 is undocumented: probe it")
        return replace(decision, dla=True, untried=untried, reasons=tuple(reasons))
    if stack.tensorrt[:2] > DLA_LAST_10:
        untried = True
        reasons.append("TensorRT 10.8 to 10.16 may lack the DLA: probe it on the device")
    if decision.precision == "fp16":
        return replace(decision, dla=True, untried=untried, reasons=tuple(reasons))
    reasons.append("before TensorRT 11 the DLA takes INT8 from a calibration cache, not from Q/DQ")
    return replace(
        decision,
        form="calibration-cache",
        strongly_typed=False,
        builder_flags=("INT8", "FP16"),
        dla=True,
        untried=untried,
        reasons=tuple(reasons),
    )
