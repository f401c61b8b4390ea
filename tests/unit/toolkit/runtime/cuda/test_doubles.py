"""The doubles offer nothing that the real bindings lack, so that tests cannot lean on it."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

from tests.doubles import tensorrt_runtime
from tests.doubles.cuda_machine import CudaMachine, make_driver
from tests.doubles.tensorrt_runtime import make_trt

CUDA = Path(__file__).resolve().parents[5] / "toolkit" / "runtime" / "cuda"

# Names of pycuda.driver 2026.1, read with the real package over an emulated libcuda.
PYCUDA = {
    *("Error", "LogicError", "MemoryError", "init", "Device", "Context", "Stream", "Event"),
    *("device_attribute", "host_alloc_flags", "event_flags", "mem_alloc", "pagelocked_empty"),
    *("memcpy_htod_async", "memcpy_dtoh_async", "module_from_buffer"),
}


@pytest.mark.parametrize(
    "name", ["Runtime", "ICudaEngine", "IExecutionContext", "IRuntimeConfig", "IRuntimeCache"]
)
def test_a_doubled_class_has_only_methods_of_the_real_one(name: str) -> None:
    real = pytest.importorskip("tensorrt_rtx", reason="TensorRT-RTX is not installed")
    double = getattr(tensorrt_runtime, name)
    own = {each for each in vars(double) if not each.startswith("_")}
    assert own <= set(dir(getattr(real, name)))


def test_a_doubled_module_has_only_names_of_the_real_one() -> None:
    real = pytest.importorskip("tensorrt_rtx", reason="TensorRT-RTX is not installed")
    for name, value in vars(make_trt(CudaMachine(), rtx=True)).items():
        if not name.startswith("__"):
            assert hasattr(real, name)
            members = [each for each in vars(value) if each.isupper()]
            assert all(hasattr(getattr(real, name), each) for each in members)


def test_the_driver_offers_what_pycuda_does_and_all_that_the_session_asks_for() -> None:
    offered = set(vars(make_driver(CudaMachine())))
    assert offered == PYCUDA
    asked = {
        node.attr
        for path in CUDA.glob("*.py")
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Attribute)
        and (
            getattr(node.value, "attr", "") == "_driver"
            or getattr(node.value, "id", "") == "driver"
        )
    }
    assert asked == offered - {"LogicError"}
