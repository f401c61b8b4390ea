"""Check what a new GPU engine answers, on the GPU that built it, before it gets its manifest."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import toolkit
from toolkit.artifacts import Engine, Manifest
from toolkit.build.golden_note import golden_note
from toolkit.build.request import BuildRequest, Built
from toolkit.golden import golden_for, verify
from toolkit.runtime.cuda.libcuda import LibCuda
from toolkit.runtime.cuda.session import CudaSession

__all__ = ["check_answers", "unsealed_engine"]


def unsealed_engine(request: BuildRequest, out: Path, built: Built, *, trt: Any) -> Engine:
    """Return the engine in `out` as a session takes it, before its manifest is written."""
    manifest = Manifest(
        engine_digest="",
        onnx_digest=request.model.digest,
        target=request.target,
        backend=trt.__name__,
        precision=built.contract.precision,
        contract=built.contract.to_dict(),
        built_with=built.built_with,
        built_on=built.built_on,
        tool_version=toolkit.__version__,
        sms=request.sms,
        flags=built.flags,
    )
    return Engine(out, manifest, built.contract)


def check_answers(
    request: BuildRequest, engine: Engine, *, trt: Any, driver: Any, libcuda: LibCuda
) -> str:
    """Run the golden inputs through `engine`; return the manifest's note.

    `trt` is the module of the bindings, `driver` is `pycuda.driver`. Raises BuildError when the
    engine does not compute what its graph says, and what opening a session raises.
    """
    with CudaSession(engine, trt=trt, driver=driver, libcuda=libcuda, graphs=False) as session:
        report = verify(session, golden_for(request.model))
    implicit = request.calibration_cache is not None
    return golden_note(report, model=str(request.model.path), implicit=implicit)
