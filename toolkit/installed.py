"""Which packages are there and really import; each is tried in a process of its own.

A package that is half installed can crash or hang the interpreter that imports it, so `doctor`
must not import it. A row here is a package that some part of Edgekit needs.
"""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

__all__ = ["PACKAGES", "Check", "Package", "Probe", "check_package", "check_packages", "run_probe"]

TIMEOUT_S = 60.0
"""torch takes several seconds from a cold disk, and more on a Jetson's SD card."""


@dataclass(frozen=True)
class Check:
    """One thing that was looked at. `state` is "ok", "missing" (optional) or "problem"."""

    name: str
    state: str
    detail: str
    fix: str = ""


@dataclass(frozen=True)
class Package:
    """A package, what it is for, and the extra of `pip install 'edgekit[extra]'` that brings it.

    Without an extra it belongs to the core. `probe` runs after the import, as a stronger test.
    """

    module: str
    purpose: str
    extra: str = ""
    probe: str = ""


# An ahead-of-time builder needs no GPU, but a broken library shows only when one is made.
_RTX_PROBE = (
    "builder = module.Builder(module.Logger(module.Logger.ERROR)); "
    "config = builder.create_builder_config(); config.num_compute_capabilities = 1; "
    "assert config.set_compute_capability(module.ComputeCapability.SM89, 0)"
)

PACKAGES = (
    Package("numpy", "arrays"),
    Package("onnx", "reading and writing models"),
    Package("onnxruntime", "calibration, scoring, cpu engines"),
    Package("PIL", "reading images"),
    Package("cv2", "cameras and video files"),
    Package("typer", "the command line"),
    Package("rich", "progress bars"),
    Package("torch", "training and export", "train"),
    Package("torchvision", "torchvision models", "train"),
    Package("onnxscript", "export of PyTorch models", "train"),
    Package("tensorrt_rtx", "engines for RTX GPUs, built without one", "rtx", _RTX_PROBE),
    Package("tensorrt", "engines for NVIDIA GPUs and Jetsons", "tensorrt"),
    Package("pycuda", "running engines on an NVIDIA GPU", "tensorrt"),
    Package("starlette", "the live page", "web"),
    Package("uvicorn", "the live page", "web"),
)


# Few packages have no __version__; looking through all installed files for theirs takes a while.
_VERSION = (
    "from importlib import metadata as m; name = module.__name__; "
    "version = getattr(module, '__version__', '') "
    "or m.version(m.packages_distributions().get(name, [name])[0]); "
    "print(); print(version)"
)


@dataclass(frozen=True)
class Probe:
    """What became of an import: its version, or the last line of what went wrong."""

    version: str
    error: str


def check_packages(packages: Sequence[Package] = PACKAGES, *, jetson: bool) -> tuple[Check, ...]:
    """Return one check per package, in order. Two are tried at a time: imports need memory."""
    with ThreadPoolExecutor(max_workers=2) as pool:
        return tuple(pool.map(lambda package: check_package(package, jetson=jetson), packages))


def check_package(package: Package, *, jetson: bool) -> Check:
    """Return whether `package` is installed and imports."""
    fix = _install_line(package, jetson=jetson)
    name = f"package {package.module}"
    if importlib.util.find_spec(package.module) is None:
        state = "missing" if package.extra else "problem"
        return Check(name, state, f"not installed; needed for {package.purpose}", fix)
    probe = run_probe(package)
    if probe.error:
        again = fix.replace("pip install ", "pip install --force-reinstall ")
        return Check(name, "problem", f"installed, but it does not import: {probe.error}", again)
    return Check(name, "ok", f"{probe.version} ({package.purpose})".lstrip())


def run_probe(package: Package, *, timeout_s: float = TIMEOUT_S) -> Probe:
    """Import `package` in another process and return its version, or why that failed."""
    code = f"import {package.module} as module; {package.probe or 'pass'}; {_VERSION}"
    try:
        done = subprocess.run(
            [sys.executable, "-c", code],
            capture_output=True,
            text=True,
            errors="replace",
            stdin=subprocess.DEVNULL,
            timeout=timeout_s,
            env={**os.environ, "PYTHONWARNINGS": "ignore"},
        )
    except subprocess.TimeoutExpired:
        return Probe("", f"it did not finish within {timeout_s:.0f} s")
    if done.returncode < 0:
        return Probe("", f"the process was killed by signal {-done.returncode}")
    if done.returncode:
        lines = [line for line in done.stderr.splitlines() if line.strip()]
        return Probe("", lines[-1].strip() if lines else f"exit code {done.returncode}")
    return Probe(done.stdout.rstrip("\n").rpartition("\n")[2], "")


def _install_line(package: Package, *, jetson: bool) -> str:
    if jetson and package.module == "tensorrt":
        # JetPack's Python packages live outside a virtual environment that is closed to them.
        return "sudo apt-get install nvidia-jetpack && python3 -m venv --system-site-packages .venv"
    if jetson and package.module == "pycuda":
        return "pip install pycuda"
    return f"pip install 'edgekit[{package.extra}]'" if package.extra else "pip install edgekit"
