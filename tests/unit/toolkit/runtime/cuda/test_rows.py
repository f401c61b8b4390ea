"""The rows of RUNTIMES that need a GPU, opened as `edgekit` opens them, over doubled packages."""

from __future__ import annotations

import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from tests.doubles.cuda_machine import CudaMachine, FakeLibCuda, make_driver
from tests.doubles.engines import write_engine
from tests.doubles.tensorrt_runtime import make_trt
from tests.unit.toolkit.onnx_graphs import classifier, contract
from toolkit.errors import InputError, MissingDependencyError
from toolkit.runtime import open_session
from toolkit.runtime.cuda import libcuda, session
from toolkit.runtime.cuda.libcuda import LibCuda, has_driver, open_libcuda

ROWS = ["tensorrt", "tensorrt_rtx"]


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch) -> CudaMachine:
    """A machine on which the packages and the driver are installed."""
    made = CudaMachine()
    package: Any = ModuleType("pycuda")
    package.driver = make_driver(made)
    double = LibCuda(FakeLibCuda(made))
    for name, module in {
        "tensorrt": make_trt(made),
        "tensorrt_rtx": make_trt(made, rtx=True),
        "pycuda": package,
        "pycuda.driver": package.driver,
    }.items():
        monkeypatch.setitem(sys.modules, name, module)
    for name in ("cuda.pycuda_driver", *ROWS):  # imported anew, with the doubles
        monkeypatch.delitem(sys.modules, f"toolkit.runtime.{name}", raising=False)
    monkeypatch.setattr(libcuda, "open_libcuda", lambda: double)
    monkeypatch.setattr(session, "open_libcuda", lambda: double)
    monkeypatch.setattr("toolkit.runtime.fit.has_driver", lambda: True)
    return made


@pytest.fixture(autouse=True)
def forget_doubled_rows() -> Any:
    yield
    for name in ("cuda.pycuda_driver", *ROWS):
        sys.modules.pop(f"toolkit.runtime.{name}", None)


@pytest.mark.parametrize("backend", ROWS)
def test_an_engine_is_opened_by_the_backend_that_its_manifest_names(
    machine: CudaMachine, tmp_path: Path, backend: str
) -> None:
    engine = write_engine(classifier(), contract(), tmp_path, backend=backend)
    with open_session(engine.path, threads=2, spin=False) as opened:
        assert opened.backend == backend
        assert opened.infer(np.zeros((1, 3, 16, 16), np.float32)).shape == (1, 4)
    assert machine.retained == 0
    assert not machine.allocations


@pytest.mark.parametrize("backend", ROWS)
def test_a_model_is_not_opened_by_a_backend_of_engines(
    machine: CudaMachine, tmp_path: Path, backend: str
) -> None:
    write_engine(classifier(), contract(), tmp_path)
    with pytest.raises(InputError, match=f"is a model: {backend} runs engines"):
        open_session(tmp_path / "m.onnx", backend=backend)


@pytest.mark.skipif(has_driver(), reason="NVIDIA's driver is installed here")
def test_a_machine_without_driver_says_so() -> None:
    with pytest.raises(MissingDependencyError, match="There is no NVIDIA driver here"):
        open_libcuda()
