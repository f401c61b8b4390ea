"""Check that a target has what was asked for: what it lacks is refused, never left out silently."""

from __future__ import annotations

from pathlib import Path

from targets.catalog import Target
from targets.decision import ANYWHERE, Decision
from toolkit.artifacts import OnnxModel, open_engine_file
from toolkit.build.request import COMPATIBLE, TensorRTOptions
from toolkit.errors import InputError
from toolkit.shell import quoted

__all__ = ["check_dla_form", "check_options", "compatible_from_text"]

_RTX_LACKS = {
    "--dla-core": "a DLA is part of a Jetson",
    "--timing-cache": "a timing cache makes its builder ask for a GPU",
    "--compatible": "its engines serve every GPU named in --target, and only their own version",
    "--guard": "it builds ahead of time, and INT8 is timed against FP16 on the GPU",
}
_CPU_LACKS = "only TensorRT's builder has it"


def compatible_from_text(text: str) -> tuple[str, ...]:
    """Return the modes in "version,hardware". Raises InputError for a word that is none."""
    words = tuple(word.strip() for word in text.split(",") if word.strip())
    unknown = [word for word in words if word not in COMPATIBLE]
    if unknown or {"hardware", "same-sm"} <= set(words):
        wrong = f"{unknown[0]!r} is unknown" if unknown else "hardware includes same-sm"
        raise InputError(
            f"--compatible takes {', '.join(COMPATIBLE)}: {wrong}.",
            next_command="edgekit build MODEL.onnx --target NAME --compatible version",
        )
    return words


def check_options(
    model: OnnxModel,
    target: Target,
    decision: Decision,
    options: TensorRTOptions,
    *,
    calibration_cache: Path | None = None,
) -> None:
    """Raise InputError when `target` cannot have one of the options, with the reason.

    `calibration_cache` is that of a model which is one of a pair.
    """
    plain = f"edgekit build {quoted(model.path)} --target {target.id}"
    for option in options.given():
        if decision.where == ANYWHERE:
            lacks = _CPU_LACKS if target.is_cpu else _RTX_LACKS[option]
            raise InputError(
                f"{target.name} takes {decision.backend}, which has no {option}: {lacks}.",
                next_command=plain,
            )
    check_dla_form(model, target, decision, calibration_cache)
    if options.dla_core is not None and not 0 <= options.dla_core < target.dla_cores:
        cores = "one DLA core, 0" if target.dla_cores == 1 else f"{target.dla_cores} DLA cores"
        raise InputError(
            f"{target.name} has {cores}: there is no core {options.dla_core}.",
            next_command=f"{plain} --dla-core 0",
        )
    reason = _why_not_other_gpus(target, options)
    if reason:
        raise InputError(
            f"{target.name} has no hardware-compatible engines: {reason}.", next_command=plain
        )
    _check_files(model, options, plain)


def check_dla_form(
    model: OnnxModel, target: Target, decision: Decision, calibration_cache: Path | None
) -> None:
    """Raise InputError when a DLA's INT8 would come from where its TensorRT does not read it."""
    wants_cache = decision.form == "calibration-cache"
    if not decision.dla or wants_cache == (calibration_cache is not None):
        return
    takes = f"The DLA of {target.name} with TensorRT {decision.tensorrt} takes INT8 from"
    if wants_cache:
        why = f"a calibration cache and not from the Q/DQ of {model.path}."
    else:
        why = f"Q/DQ and not from {calibration_cache}."
    raise InputError(
        f"{takes} {why}",
        next_command=f"edgekit calibrate MODEL.onnx --images DIR --target {target.id} --dla"
        + (f" --jetpack {decision.jetpack}" if decision.jetpack else ""),
    )


def _why_not_other_gpus(target: Target, options: TensorRTOptions) -> str:
    if not {"hardware", "same-sm"} & set(options.compatible):
        return ""
    if target.is_jetson:
        return "TensorRT does not offer them on JetPack"
    if target.sm is not None and target.sm < 80:
        return f"they begin with Ampere (SM 8.0), and this is SM {target.sm_text}"
    return "the DLA excludes them" if options.dla_core is not None else ""


def _check_files(model: OnnxModel, options: TensorRTOptions, plain: str) -> None:
    cache = options.timing_cache
    if cache is not None and cache.is_dir():
        raise InputError(
            f"The timing cache {cache} is a folder, not a file.",
            next_command=f"{plain} --timing-cache {quoted(cache / 'timing.cache')}",
        )
    if options.guard is None:
        return
    if model.contract.precision != "int8":
        raise InputError(
            f"--guard times an INT8 engine against FP16, and {model.path} is "
            f"{model.contract.precision}.",
            next_command=plain,
        )
    fp16 = open_engine_file(options.guard)
    if fp16.manifest.precision != "fp16":
        raise InputError(
            f"{options.guard} is {fp16.manifest.precision}: --guard takes the FP16 engine.",
            next_command=f"edgekit inspect {quoted(options.guard)}",
        )
