"""What the tests of the CUDA session share: pictures, a recipe and the answer to expect."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from tests.doubles.cuda_machine import CudaMachine, FakeLibCuda, make_driver
from tests.doubles.host_kernel import HOST_COMPILER
from tests.doubles.tensorrt_runtime import make_trt
from toolkit.artifacts import Engine
from toolkit.preprocess import Preprocess
from toolkit.runtime import open_session
from toolkit.runtime.cuda.libcuda import LibCuda
from toolkit.runtime.cuda.session import CudaSession

needs_compiler = pytest.mark.skipif(HOST_COMPILER is None, reason="no g++ to build the kernel with")

RECIPE = Preprocess(16, 16, resize_size=20, mean=(0.5, 0.5, 0.5), std=(0.25, 0.25, 0.25))


def pictures(count: int, seed: int = 0) -> NDArray[np.float32]:
    rng = np.random.default_rng(seed)
    return rng.standard_normal((count, 3, 16, 16)).astype(np.float32)


def frame(height: int = 90, width: int = 123, seed: int = 0) -> NDArray[np.uint8]:
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)


def unchecked(engine: Engine, machine: CudaMachine) -> CudaSession:
    """A session whose machine other sessions use too."""
    return CudaSession(
        engine,
        trt=make_trt(machine),
        driver=make_driver(machine),
        libcuda=LibCuda(FakeLibCuda(machine)),
    )


def by_onnxruntime(engine: Engine, batch: NDArray[np.float32]) -> NDArray[np.float32]:
    with open_session(engine.path.with_name("m.onnx"), threads=1) as session:
        return session.infer(batch)
