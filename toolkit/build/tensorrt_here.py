"""Build with the TensorRT that is installed on this machine, for this machine's GPU."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import tensorrt

from toolkit.build.gpu_answers import check_answers
from toolkit.build.request import BuildRequest, Built
from toolkit.build.tensorrt import ClassicOptions, build_with
from toolkit.errors import ForeignEngineError, MachineError
from toolkit.progress import ProgressCallback
from toolkit.runtime.cuda.libcuda import open_libcuda
from toolkit.runtime.cuda.pycuda_driver import driver
from toolkit.shell import quoted

__all__ = ["build"]


def build(request: BuildRequest, out: Path, progress: ProgressCallback) -> Built:
    """Write the engine to `out` and check its answers against the model's.

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
    slug = re.sub(r"[^a-z0-9]+", "-", gpu.lower()).strip("-")
    cache = request.out.with_name(f"{slug}.tensorrt-{tensorrt.__version__}.timing-cache")
    options = ClassicOptions(gpu=gpu, timing_cache=cache)
    built = build_with(tensorrt, request, out, progress, options=options)
    note = check_answers(request, out, built, trt=tensorrt, driver=driver, libcuda=open_libcuda())
    return replace(built, notes=(*built.notes, note))


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
