"""Say in one sentence why an engine does not run on this GPU, and what does."""

from __future__ import annotations

from targets import TargetError
from targets.detect import detect
from toolkit.artifacts import Engine, origin_of
from toolkit.errors import ForeignEngineError
from toolkit.shell import quoted

__all__ = ["check_sm", "foreign_engine", "where_built"]


def check_sm(engine: Engine, *, gpu: str, sm: int, runtime: str) -> None:
    """Raise ForeignEngineError when `engine` was not built for architecture `sm` (8.9 as 89)."""
    manifest = engine.manifest
    if not manifest.sms or sm in manifest.sms:
        return
    if "AMPERE_PLUS" in manifest.flags and sm >= 80 and min(manifest.sms) >= 80:
        return
    raise foreign_engine(engine, gpu=gpu, sm=sm, runtime=runtime)


def foreign_engine(
    engine: Engine, *, gpu: str, sm: int, runtime: str, said: str = ""
) -> ForeignEngineError:
    """Return the error; `said` are the runtime's own words."""
    manifest = engine.manifest
    built_for = ", ".join(f"{each // 10}.{each % 10}" for each in manifest.sms)
    return ForeignEngineError(
        f"{engine.path.name} was built for {manifest.target} (SM {built_for}) with "
        f"{manifest.built_with}; this is {gpu} (SM {sm // 10}.{sm % 10}, {runtime}): it cannot "
        f"load here{f' ({said})' if said else ''}.",
        next_command=f"edgekit build {quoted(origin_of(engine))} "
        f"--target {_target_here(engine, sm)}",
    )


def where_built(engine: Engine, *, gpu: str) -> str:
    """Return a note when the engine was tuned on another GPU of the same architecture, or ""."""
    built_on = engine.manifest.built_on
    if not built_on or built_on == gpu or built_on.startswith("no GPU"):
        return ""
    return f"built on {built_on}: latency not built here"


def _target_here(engine: Engine, sm: int) -> str:
    if sm in engine.manifest.sms:
        return engine.manifest.target
    try:
        return detect().id
    except TargetError:
        return f"sm{sm}"
