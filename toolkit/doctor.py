"""`edgekit doctor`: what this machine can do, what is missing, and the line that installs it."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from targets import TargetError, detect, read_conditions
from targets.conditions import Conditions, advice
from targets.machine import Machine
from toolkit.installed import PACKAGES, Check, Package, check_packages

__all__ = ["Check", "Doctor", "diagnose_machine"]

_OLDEST_PYTHON = (3, 10)
_LEAST_DISK_GIB = 2.0
_LEAST_MEMORY_MIB = 1024
_NVIDIA_VENDOR = "0x10de"


@dataclass(frozen=True)
class Doctor:
    """Everything that was looked at, in the order a reader should fix it."""

    target: str
    """The id of this machine's row in the catalog, empty when there is none."""
    checks: tuple[Check, ...]

    @property
    def problems(self) -> tuple[Check, ...]:
        """Return what does not work although it should."""
        return tuple(check for check in self.checks if check.state == "problem")

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON values."""
        return {
            "ok": not self.problems,
            "target": self.target,
            "checks": [asdict(check) for check in self.checks],
        }


def diagnose_machine(
    *,
    machine: Machine | None = None,
    folder: Path | None = None,
    packages: Sequence[Package] = PACKAGES,
) -> Doctor:
    """Return what this machine can do. Nothing heavy is imported into this process.

    `folder` is where files will be written (default: the working folder). Takes some seconds: each
    package is imported in a process of its own, which may crash or hang without harm.
    """
    machine = machine or Machine()
    conditions = read_conditions(root=machine.root, run=machine.run)
    target, target_check = _check_target(machine)
    checks = (
        target_check,
        _check_python(),
        _check_cpu(conditions),
        _check_gpu(machine, conditions),
        _check_tensorrt(machine, conditions),
        *check_packages(packages, jetson=conditions.l4t is not None),
        *_check_cameras(machine),
        _check_disk(folder or Path.cwd()),
        _check_memory(conditions),
        *_check_calm(conditions),
    )
    return Doctor(target, checks)


def _check_target(machine: Machine) -> tuple[str, Check]:
    try:
        target = detect(machine)
    except TargetError as error:
        return "", Check("target", "problem", error.message, error.next_command)
    return target.id, Check("target", "ok", f"this machine is {target.id}")


def _check_python() -> Check:
    version = ".".join(map(str, sys.version_info[:3]))
    if sys.version_info[:2] < _OLDEST_PYTHON:
        wanted = ".".join(map(str, _OLDEST_PYTHON))
        return Check(
            "python",
            "problem",
            f"{version} is too old: Edgekit needs {wanted} or newer",
            f"python{wanted} -m venv .venv && .venv/bin/pip install edgekit",
        )
    return Check("python", "ok", f"{version} at {sys.executable}")


def _check_cpu(conditions: Conditions) -> Check:
    limit = conditions.core_limit
    cores = f"{conditions.cores or '?'} cores" + (f" ({limit:g} usable)" if limit else "")
    name = f"{conditions.cpu_model or conditions.arch}, {cores}, {conditions.isa}"
    if conditions.isa.endswith("-vnni"):
        return Check("cpu", "ok", f"{name}: INT8 products are added in 32 bits")
    if conditions.isa.startswith("avx"):
        return Check("cpu", "ok", f"{name}, no VNNI: INT8 weights for this CPU are kept to 7 bits")
    return Check("cpu", "ok", name)


def _check_gpu(machine: Machine, conditions: Conditions) -> Check:
    if conditions.gpu:
        return Check("gpu", "ok", f"{conditions.gpu}, driver {conditions.driver or 'unknown'}")
    if conditions.l4t:
        return Check("gpu", "ok", f"integrated, Jetson Linux {conditions.l4t}")
    if _has_nvidia_card(machine):
        return Check(
            "gpu",
            "problem",
            "an NVIDIA GPU is plugged in, but nvidia-smi finds none: the driver is not loaded",
            "sudo apt-get install nvidia-driver && sudo reboot",
        )
    return Check(
        "gpu",
        "missing",
        "no NVIDIA GPU: engines for RTX GPUs are built ahead of time, cpu engines run here",
    )


def _has_nvidia_card(machine: Machine) -> bool:
    return any(
        machine.text(f"{device}/vendor") == _NVIDIA_VENDOR
        and (machine.text(f"{device}/class") or "").startswith("0x03")  # display controllers
        for device in machine.paths("sys/bus/pci/devices/*")
    )


def _check_tensorrt(machine: Machine, conditions: Conditions) -> Check:
    """Look for trtexec, which builds engines where TensorRT's Python package is missing."""
    places = ("usr/src/tensorrt/bin/trtexec", "usr/bin/trtexec", "usr/local/bin/trtexec")
    found = next((place for place in places if (machine.root / place).is_file()), None)
    if found:
        return Check("trtexec", "ok", f"/{found}")
    if conditions.l4t:
        return Check(
            "trtexec",
            "problem",
            "this Jetson has no trtexec: TensorRT is not installed",
            "sudo apt-get install nvidia-jetpack",
        )
    return Check("trtexec", "missing", "not found; it can build TensorRT engines without Python")


def _check_cameras(machine: Machine) -> tuple[Check, ...]:
    devices = machine.paths("dev/video*")
    if not devices:
        detail = "none; --camera file://clip.avi, images://DIR or synthetic://640x480@30 need none"
        return (Check("camera", "missing", detail),)
    return tuple(_check_camera(machine, device) for device in devices)


def _check_camera(machine: Machine, device: str) -> Check:
    path = machine.root / device
    name = machine.text(f"sys/class/video4linux/{path.name}/name") or "unnamed"
    if not os.access(path, os.R_OK | os.W_OK):
        return Check(
            f"camera /{device}",
            "problem",
            f"{name}: no permission to open it",
            "sudo usermod --append --groups video $USER && newgrp video",
        )
    return Check(f"camera /{device}", "ok", name)


def _check_disk(folder: Path) -> Check:
    try:
        free_gib = shutil.disk_usage(folder).free / 2**30
    except OSError as error:
        detail = f"{folder} cannot be used: {error.strerror or error}"
        return Check("disk", "problem", detail, f"ls -ld {folder}")
    if free_gib < _LEAST_DISK_GIB:
        return Check(
            "disk",
            "problem",
            f"{free_gib:.1f} GiB free at {folder}; models and engines need {_LEAST_DISK_GIB:g}",
            f"df -h {folder}",
        )
    return Check("disk", "ok", f"{free_gib:.1f} GiB free at {folder}")


def _check_memory(conditions: Conditions) -> Check:
    free = conditions.memory_available_mib
    if free is None:
        return Check("memory", "ok", "the system does not say how much is free")
    if free < _LEAST_MEMORY_MIB:
        detail = f"{free} MiB available; calibration needs about {_LEAST_MEMORY_MIB}"
        return Check("memory", "problem", detail, "free -h")
    return Check("memory", "ok", f"{free / 1024:.1f} GiB available")


def _check_calm(conditions: Conditions) -> tuple[Check, ...]:
    """Say what would spoil a measurement now; nothing when nothing is known to."""
    said = advice(conditions)
    if said is None:
        return ()
    throttled = conditions.throttled or conditions.gpu_throttled
    if throttled:
        return (Check("measuring", "problem", said),)
    return (Check("measuring", "ok", f"possible, but {said}"),)
