"""Does an engine run on this machine, and if not, why and what builds one that does."""

from __future__ import annotations

from targets.detect import isa
from toolkit.artifacts import Engine, origin_of
from toolkit.errors import ForeignEngineError
from toolkit.runtime.cuda.libcuda import has_driver
from toolkit.shell import quoted

__all__ = ["check_runs_here", "why_not_here"]


def check_runs_here(engine: Engine) -> None:
    """Raise ForeignEngineError with the command that helps when `engine` cannot run here."""
    reason = why_not_here(engine)
    if not reason:
        return
    origin = origin_of(engine)
    raise ForeignEngineError(
        f"{engine.path.name} {reason}.",
        next_command=f"edgekit build {quoted(origin)} --target cpu --out {quoted(engine.path)}"
        if engine.manifest.backend == "onnxruntime"
        else f"edgekit score {quoted(origin)} --images DIR",
    )


def why_not_here(engine: Engine) -> str:
    """Return why `engine` does not run on this machine, a clause without subject, or ""."""
    manifest = engine.manifest
    if manifest.backend != "onnxruntime":
        if has_driver():
            return ""  # whether it suits this GPU is seen when it is opened there
        sms = ", ".join(f"{sm // 10}.{sm % 10}" for sm in manifest.sms)
        return (
            f"was built for {manifest.target} (SM {sms}) with {manifest.built_with}: there is no "
            "NVIDIA driver here"
        )
    here = isa()
    if manifest.isa != here:
        return (
            f"was optimised for {manifest.isa} ({manifest.built_on}): this machine has {here}, "
            "which its kernels do not fit"
        )
    # ONNX Runtime takes a while to import: only for its own engines.
    from toolkit.runtime.onnxruntime import VERSION

    if manifest.built_with != VERSION:
        return f"was built with {manifest.built_with}: here is {VERSION}, whose kernels may differ"
    return ""
