"""Build with the TensorRT that is installed on this machine, for this machine's GPU."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import tensorrt

from toolkit.build.gpu_answers import check_answers, unsealed_engine
from toolkit.build.gpu_guard import guard_note
from toolkit.build.request import BuildRequest, Built
from toolkit.build.tensorrt import build_with, classic_options
from toolkit.errors import ForeignEngineError, MachineError
from toolkit.progress import ProgressCallback
from toolkit.runtime.cuda.libcuda import open_libcuda
from toolkit.runtime.cuda.pycuda_driver import driver
from toolkit.shell import quoted

__all__ = ["build", "installed_version"]


def installed_version() -> str:
    """Return the version of the TensorRT that is installed here."""
    return str(tensorrt.__version__)


def build(request: BuildRequest, out: Path, progress: ProgressCallback) -> Built:
    """Write the engine to `out`, check its answers against the model's, and INT8 against FP16.

    Raises ForeignEngineError when this GPU is not the target's, and what `build_with` raises.
    """
    gpu, sm = _gpu_here()
    if request.sms and sm not in request.sms:
        raise ForeignEngineError(
            f"TensorRT builds only for the GPU it runs on: this is {gpu} (SM {sm // 10}.{sm % 10}),"
            f" not {request.target}.",
            next_command=f"edgekit build {quoted(request.model.path)} --target {request.target} "
            "--host USER@DEVICE",
        )
    options = classic_options(tensorrt, request, gpu=gpu)
    built = build_with(tensorrt, request, out, progress, options=options)
    engine = unsealed_engine(request, out, built, trt=tensorrt)
    libcuda = open_libcuda()
    notes = (
        check_answers(request, engine, trt=tensorrt, driver=driver, libcuda=libcuda),
        guard_note(request, engine, progress, trt=tensorrt, driver=driver, libcuda=libcuda),
    )
    return replace(built, notes=(*built.notes, *filter(None, notes)))


def _gpu_here() -> tuple[str, int]:
    try:
        driver.init()
        device = driver.Device(0)
        major, minor = device.compute_capability()
        return str(device.name()), 10 * major + minor
    except driver.Error as error:
        raise MachineError(
            f"There is no GPU to build on: {error}.", next_command="edgekit doctor"
        ) from error
