"""Engine files for the doubles: bytes that tensorrt_runtime.py "deserialises", with a manifest."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import onnx

from tests.doubles.cuda_machine import CudaMachine, FakeLibCuda, make_driver
from tests.doubles.tensorrt_runtime import engine_bytes, make_trt
from toolkit.artifacts import Engine, Manifest, digest_of_file, open_engine_file, write_manifest
from toolkit.contract import Contract
from toolkit.onnx_model.file import open_model, write_onnx
from toolkit.runtime import Session, open_session
from toolkit.runtime.cuda.libcuda import LibCuda
from toolkit.runtime.cuda.session import CudaSession

__all__ = ["open_double", "open_runtime", "write_engine", "write_engine_of"]


def write_engine(
    model: onnx.ModelProto,
    contract: Contract,
    folder: Path,
    *,
    content: bytes | None = None,
    batch: tuple[int, int, int] = (1, 2, 4),
    **changes: Any,
) -> Engine:
    """`m.engine` with its manifest, built from `m.onnx` beside it, for SM 8.7 unless changed."""
    write_onnx(model, folder / "m.onnx", contract)
    return write_engine_of(model, contract, folder, content=content, batch=batch, **changes)


def write_engine_of(
    model: onnx.ModelProto,
    contract: Contract,
    folder: Path,
    *,
    name: str = "m.engine",
    content: bytes | None = None,
    batch: tuple[int, int, int] = (1, 2, 4),
    **changes: Any,
) -> Engine:
    """The same from a graph that need not be a model of ours; `m.onnx` is left as it is."""
    path = folder / name
    path.write_bytes(engine_bytes(model, batch=batch) if content is None else content)
    source = folder / "m.onnx"
    values: dict[str, Any] = {
        "engine_digest": digest_of_file(path),
        "onnx_digest": digest_of_file(source) if source.exists() else "",
        "target": "jetson-orin-nano-8gb",
        "backend": "tensorrt",
        "precision": "fp32",
        "contract": contract.to_dict(),
        "built_with": "tensorrt 10.3.0",
        "built_on": "NVIDIA Test GPU",
        "tool_version": "0",
        "sms": (87,),
    }
    write_manifest(path, Manifest(**(values | changes)))
    return open_engine_file(path)


@contextmanager
def open_runtime(
    path: Path, *, backend: str = "auto", threads: int = 0, spin: bool = True
) -> Iterator[Session]:
    """`toolkit.runtime.open_session`, with doubles behind the rows that need a GPU."""
    if not backend.startswith("tensorrt"):
        with open_session(path, backend=backend, threads=threads, spin=spin) as session:
            yield session
        return
    folder = path.parent / backend
    folder.mkdir(exist_ok=True)
    graph, contract = onnx.load(str(path)), open_model(path).contract
    made = write_engine_of(graph, contract, folder, name=path.name, backend=backend)
    with open_double(made, CudaMachine(), rtx=backend == "tensorrt_rtx", spin=spin) as session:
        yield session


@contextmanager
def open_double(
    engine: Engine, machine: CudaMachine, *, rtx: bool = False, **options: Any
) -> Iterator[CudaSession]:
    """A session of `engine` on `machine`; checks that it leaves nothing behind."""
    libcuda = LibCuda(FakeLibCuda(machine))
    with CudaSession(
        engine,
        trt=make_trt(machine, rtx=rtx),
        driver=make_driver(machine),
        libcuda=libcuda,
        **options,
    ) as session:
        assert machine.stack == [], "nothing stays current between two calls"
        yield session
    assert machine.stack == []
    assert machine.retained == 0
    assert not machine.allocations
    assert not machine.graphs
