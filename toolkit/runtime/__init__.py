"""Open what can be run: an ONNX file, or an engine built for this machine."""

from __future__ import annotations

from pathlib import Path

from toolkit.artifacts import Engine, OnnxModel, manifest_path, open_engine_file
from toolkit.errors import InputError
from toolkit.lazy import load
from toolkit.onnx_model.file import open_model
from toolkit.runtime.fit import check_runs_here
from toolkit.runtime.session import Session
from toolkit.shell import quoted

__all__ = ["RUNTIMES", "Session", "open_runnable", "open_session"]

RUNTIMES = {
    "onnxruntime": "toolkit.runtime.onnxruntime:open_session",
    "onnxruntime-float": "toolkit.runtime.onnxruntime:open_float_session",
    "tensorrt": "toolkit.runtime.tensorrt:open_session",
    "tensorrt_rtx": "toolkit.runtime.tensorrt_rtx:open_session",
    "fake": "toolkit.runtime.fake:open_session",
}
"""Add a runtime here: a function (OnnxModel | Engine, *, threads, spin) -> Session."""

_INSTALL = {
    "onnxruntime": "pip install --upgrade edgekit",
    "tensorrt": "pip install 'edgekit[tensorrt]'",
    "tensorrt_rtx": "pip install 'edgekit[rtx]' pycuda",
}


def open_session(
    path: Path, *, threads: int = 0, backend: str = "auto", spin: bool = True
) -> Session:
    """Return a session for an ONNX file with a contract, or for an engine with its manifest.

    `threads` is how many CPU threads one inference uses, 0 for every CPU this process may use.
    `spin` lets idle threads wait busily for the next inference: best back to back, but paced at
    30 frames a second MobileNetV2 on two threads used 1.14 CPUs that way, and 0.17 without.
    `backend` is "auto" or a row of RUNTIMES; "onnxruntime-float" evaluates Q/DQ in float, "fake"
    needs no runtime at all.
    Raises InputError, ContractError, StaleError and ForeignEngineError.
    """
    if backend not in ("auto", *RUNTIMES):
        raise InputError(
            f"Unknown backend {backend!r}: it is auto or one of {', '.join(RUNTIMES)}.",
            next_command="edgekit doctor",
        )
    if threads < 0:
        raise InputError(
            f"{threads} threads cannot run anything: 0 means every CPU.",
            next_command=f"edgekit measure {quoted(path)} --threads 0",
        )
    source = open_runnable(path)
    if isinstance(source, Engine) and backend != "fake":
        check_runs_here(source)
    if backend == "auto":
        backend = _backend_of(source)
    opened: Session = load(
        RUNTIMES[backend],
        what=f"The runtime {backend}",
        install=_INSTALL.get(backend.partition("-")[0], "edgekit doctor"),
    )(source, threads=threads, spin=spin)
    return opened


def open_runnable(path: Path) -> OnnxModel | Engine:
    """Return the record of the model or engine in `path`: an engine has a manifest beside it."""
    if manifest_path(path).exists() or path.suffix in (".engine", ".plan"):
        return open_engine_file(path)
    return open_model(path)


def _backend_of(source: OnnxModel | Engine) -> str:
    if isinstance(source, Engine):
        return source.manifest.backend
    # Q/DQ placed for TensorRT does not fuse in ONNX Runtime: it is evaluated, in float.
    foreign = source.contract.scheme and not source.contract.scheme.startswith("onnxruntime")
    return "onnxruntime-float" if foreign else "onnxruntime"
