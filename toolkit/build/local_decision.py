"""Decide how a device is built for: by the TensorRT that is installed where it is this machine."""

from __future__ import annotations

from dataclasses import dataclass

from targets import TargetError, detect
from targets.catalog import Target
from targets.decision import ON_THE_DEVICE, Decision
from targets.detect import jetpack_here
from targets.machine import Machine
from targets.support import decide
from toolkit.lazy import load
from toolkit.runtime.cuda.libcuda import has_driver

__all__ = ["InstalledTensorRT", "decide_here", "installed_tensorrt"]


@dataclass(frozen=True)
class InstalledTensorRT:
    """The versions of this machine, as text; `jetpack` is None off Jetson."""

    tensorrt: str
    jetpack: str | None = None


def decide_here(
    row: Target, *, precision: str, dla: bool = False, installed: InstalledTensorRT | None = None
) -> Decision:
    """Return the decision for `row`; `installed` replaces the versions the catalog assumes.

    Left out, this machine is asked, if `row` is what it is. Raises TargetError for what cannot
    work, MissingDependencyError where TensorRT must build here and is not installed.
    """
    assumed = decide(row, precision=precision, dla=dla)
    if assumed.where != ON_THE_DEVICE:
        return assumed
    installed = installed or installed_tensorrt(row)
    if installed is None:
        return assumed
    try:
        return decide(
            row,
            precision=precision,
            dla=dla,
            tensorrt=installed.tensorrt,
            jetpack=installed.jetpack,
        )
    except TargetError:
        if installed.jetpack is None:
            raise
        # A container may hold another TensorRT than the board's JetPack came with.
        return decide(row, precision=precision, dla=dla, tensorrt=installed.tensorrt)


def installed_tensorrt(row: Target) -> InstalledTensorRT | None:
    """Return what is installed here; None where this machine is not a `row`, or has no driver."""
    if not has_driver():
        return None
    machine = Machine()
    try:
        here = detect(machine)
    except TargetError:
        return None  # a board without a row: the builder itself compares architectures
    if (here.sm, here.is_jetson) != (row.sm, row.is_jetson):
        return None
    version: str = load(
        "toolkit.build.tensorrt_here:installed_version",
        what=f"Building for {row.id}",
        install="pip install 'edgekit[tensorrt]'",
    )()
    return InstalledTensorRT(version, jetpack_here(machine) if row.is_jetson else None)
