"""Time a new INT8 engine against the FP16 engine of its model, on the GPU that built it."""

from __future__ import annotations

from typing import Any

from toolkit.artifacts import Engine, open_engine_file
from toolkit.build.beside import NOT_TIMED, fp16_beside, fp16_name
from toolkit.build.guard import time_against_fp16
from toolkit.build.request import BuildRequest
from toolkit.errors import EdgekitError
from toolkit.progress import ProgressCallback
from toolkit.runtime.cuda.libcuda import LibCuda
from toolkit.runtime.cuda.session import CudaSession

__all__ = ["guard_note"]


def guard_note(
    request: BuildRequest,
    int8: Engine,
    progress: ProgressCallback,
    *,
    trt: Any,
    driver: Any,
    libcuda: LibCuda,
) -> str:
    """Return what the manifest says of INT8 against FP16; "" for an engine that is not INT8.

    The FP16 engine is the one that was asked for, else the one that lies beside by its name. Only
    what was asked for raises when it cannot be run.
    """
    if int8.contract.precision != "int8":
        return ""
    asked = request.options.guard
    fp16 = open_engine_file(asked) if asked is not None else fp16_beside(request.out)
    if fp16 is None:
        name = fp16_name(request.out)
        return f"{NOT_TIMED}: no {name} lies beside it" if name else f"{NOT_TIMED}: none was named"
    ours, other = int8.contract, fp16.contract
    if other.input_shape != ours.input_shape:
        return (
            f"{NOT_TIMED}: {fp16.path.name} takes {other.input_shape}, this engine "
            f"{ours.input_shape}"
        )
    if (other.labels, other.preprocess) != (ours.labels, ours.preprocess):
        return f"{NOT_TIMED}: {fp16.path.name} is the engine of another model"
    try:
        with (
            CudaSession(int8, trt=trt, driver=driver, libcuda=libcuda) as fast,
            CudaSession(fp16, trt=trt, driver=driver, libcuda=libcuda) as slow,
        ):
            return time_against_fp16(fast, slow, progress=progress).note()
    except EdgekitError as error:
        if asked is not None:
            raise
        return f"{NOT_TIMED}: {error.message}"
