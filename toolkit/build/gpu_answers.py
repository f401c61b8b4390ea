"""Check what a new GPU engine answers, on the GPU that built it, before it gets its manifest."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import toolkit
from toolkit.artifacts import Engine, Manifest
from toolkit.build.request import BuildRequest, Built
from toolkit.errors import BuildError
from toolkit.golden import golden_for, verify
from toolkit.runtime.cuda.libcuda import LibCuda
from toolkit.runtime.cuda.session import CudaSession
from toolkit.shell import quoted

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
    if not report.passed:
        raise BuildError(
            f"The engine of {request.model.path} does not compute what its graph says: "
            f"{report.sqnr_db:.1f} dB against the float evaluation ({report.required_db:.1f} "
            f"needed), {'equal' if report.top1_equal else 'other'} winners.",
            next_command=f"edgekit inspect {quoted(request.model.path)}",
        )
    against = report.against_fp32_sqnr_db
    return (
        f"golden inputs: {report.sqnr_db:.1f} dB against its own graph in float "
        f"({report.required_db:.1f} needed)"
        + ("" if against is None else f", {against:.1f} dB against FP32")
    )
