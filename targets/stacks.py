"""Which TensorRT a device has: from its JetPack on a Jetson, from what was said elsewhere."""

from __future__ import annotations

from dataclasses import dataclass

from targets.catalog import Target
from targets.errors import TargetError
from targets.generations import (
    JETPACKS,
    NEWEST_JETPACK,
    JetPack,
    complete_tensorrt,
    is_newer_tensorrt,
    jetpack_of,
)
from targets.versions import Version, text_from_version, version_from_text

__all__ = ["Stack", "desktop_stack", "jetson_stack"]

# TensorRT 11.4.1 was the first 11 on a Jetson: its SBSA package, named for these modules only.
TENSORRT_11_MODULES = ("jetson-agx-orin", "jetson-t4000", "jetson-t5000")
TENSORRT_11_SINCE: Version = (11, 4, 1)
TENSORRT_11_JETPACK: Version = (7, 2, 2)


@dataclass(frozen=True)
class Stack:
    """The TensorRT of a device, and how that is known."""

    tensorrt: Version
    jetpack: Version | None
    runs_edgekit: bool
    untried: bool
    reasons: tuple[str, ...]


def desktop_stack(target: Target, *, tensorrt: str | None) -> Stack:
    """Return the stack of a desktop or server GPU; the newest known TensorRT if none is given.

    Raises TargetError for a TensorRT that does not know the GPU yet.
    """
    until = target.tensorrt_until
    if tensorrt is None:
        version = complete_tensorrt((until,))
        reason = f"the TensorRT version was not given: {text_from_version(version)} is assumed"
        return Stack(version, None, True, False, (reason,))
    version = complete_tensorrt(version_from_text(tensorrt, what="TensorRT"))
    since = target.tensorrt_since
    if version < since[: len(version)]:
        raise TargetError(
            f"TensorRT {text_from_version(version)} does not know {target.name} "
            f"(SM {target.sm_text}): that takes {text_from_version(since)} or newer.",
            next_command="pip install --upgrade tensorrt",
        )
    if is_newer_tensorrt(version) or version[0] > until:
        reason = f"TensorRT {text_from_version(version)} on SM {target.sm_text} is untried"
        return Stack(version, None, True, True, (reason,))
    return Stack(version, None, True, False, ())


def jetson_stack(target: Target, *, jetpack: str | None, tensorrt: str | None) -> Stack:
    """Return the stack of a Jetson; the newest known JetPack that runs on it if none is given.

    Raises TargetError for a JetPack that does not run on it, and for a TensorRT that the JetPack
    cannot have.
    """
    wanted = None if tensorrt is None else version_from_text(tensorrt, what="TensorRT")
    if jetpack is None:
        version = _assumed_jetpack(target, wanted)
        how = f"JetPack was not given: {text_from_version(version)} is assumed"
        reasons, untried = [how], False
    else:
        version = version_from_text(jetpack, what="JetPack")
        reasons, untried = _checked_jetpack(target, version)
    row = jetpack_of(version)
    if wanted is None:
        return Stack(row.tensorrt, version, row.runs_edgekit, untried, tuple(reasons))
    if wanted[0] >= 11:
        found, more = _tensorrt_11(target, version, wanted)
    else:
        found, more = _tensorrt_of_jetpack(target, version, row, wanted)
    if is_newer_tensorrt(found):
        more = [*more, f"TensorRT {text_from_version(found)} is newer than what is known"]
    differs = found[:2] != row.tensorrt[:2] and wanted[0] < 11
    untried = untried or differs or is_newer_tensorrt(found)
    return Stack(found, version, row.runs_edgekit, untried, (*reasons, *more))


def _assumed_jetpack(target: Target, wanted: Version | None) -> Version:
    rows = [row for row in JETPACKS if any(r.holds(row.since) for r in target.jetpacks)]
    if wanted is None:
        return rows[-1].since
    if wanted[0] >= 11:
        return TENSORRT_11_JETPACK
    exact = [row for row in rows if row.tensorrt[: min(2, len(wanted))] == wanted[:2]]
    near = [row for row in rows if row.tensorrt[0] == wanted[0] and row.tensorrt <= wanted]
    for choice in (exact, near):
        if choice:
            return choice[-1].since
    raise TargetError(
        f"No JetPack that runs on {target.name} ({target.jetpack}) has TensorRT "
        f"{text_from_version(wanted)}; it has {target.tensorrt}.",
        next_command=f"edgekit targets {target.id}",
    )


def _checked_jetpack(target: Target, version: Version) -> tuple[list[str], bool]:
    """Return reasons and whether the release is untried. Raises TargetError when it cannot run."""
    text = text_from_version(version)
    if any(r.is_newer_patch(version) for r in target.jetpacks) or version[:3] > NEWEST_JETPACK:
        if version[0] > NEWEST_JETPACK[0] and all(r.high for r in target.jetpacks):
            raise _wrong_jetpack(target, text)
        return [f"JetPack {text} is newer than what is known: treated like the one before it"], True
    if not any(r.holds(version) for r in target.jetpacks):
        raise _wrong_jetpack(target, text)
    return [], False


def _wrong_jetpack(target: Target, text: str) -> TargetError:
    return TargetError(
        f"JetPack {text} does not run on {target.name}: it runs {target.jetpack}.",
        next_command=f"edgekit targets {target.id}",
    )


def _tensorrt_of_jetpack(
    target: Target, jetpack: Version, row: JetPack, wanted: Version
) -> tuple[Version, list[str]]:
    shipped = text_from_version(row.tensorrt)
    if wanted == row.tensorrt[: len(wanted)]:
        return row.tensorrt, []
    if wanted[0] != row.tensorrt[0] or wanted < row.tensorrt:
        raise TargetError(
            f"JetPack {text_from_version(jetpack)} on {target.name} has TensorRT {shipped}, "
            f"not {text_from_version(wanted)}.",
            next_command=f"edgekit targets {target.id}",
        )
    if wanted[:2] == row.tensorrt[:2]:
        return wanted, []
    text = text_from_version(wanted)
    return wanted, [f"TensorRT {text} on a JetPack that ships {shipped} is untried"]


def _tensorrt_11(target: Target, jetpack: Version, wanted: Version) -> tuple[Version, list[str]]:
    found = complete_tensorrt(wanted)
    if not target.id.startswith(TENSORRT_11_MODULES):
        reason = "NVIDIA offers TensorRT 11 on AGX Orin and Thor only"
    elif found < TENSORRT_11_SINCE:
        reason = "the first TensorRT 11 for Jetson is 11.4.1"
    elif jetpack < TENSORRT_11_JETPACK[: len(jetpack)]:
        reason = "TensorRT 11 needs JetPack 7.2.2 or newer"
    else:
        return found, ["TensorRT 11 on Jetson comes as NVIDIA's SBSA package, on JetPack 7.2.2+"]
    raise TargetError(
        f"{target.name} with JetPack {text_from_version(jetpack)} cannot have TensorRT "
        f"{text_from_version(wanted)}: {reason}.",
        next_command=f"edgekit targets {target.id}",
    )
