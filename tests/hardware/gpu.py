"""What the tests on a real GPU need, or the reason why they are skipped."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from toolkit.errors import MissingDependencyError
from toolkit.runtime.cuda.frame_plan import BLOCK, PARAMETERS, READ_BEHIND, FramePlan
from toolkit.runtime.cuda.kernel_image import kernel_image
from toolkit.runtime.cuda.libcuda import LibCuda, open_libcuda

__all__ = ["Gpu", "Kernel", "open_gpu", "open_kernel"]


@dataclass(frozen=True)
class Gpu:
    """The first GPU: `driver` is pycuda.driver, `trt` the bindings that are installed."""

    driver: Any
    libcuda: LibCuda
    name: str
    sm: int

    def bindings(self, backend: str) -> Any:
        """The module `tensorrt` or `tensorrt_rtx`; skips without it."""
        return pytest.importorskip(backend, reason=f"{backend} is not installed")


def open_gpu() -> Gpu:
    """The GPU of this machine; skips the test where there is none."""
    try:
        libcuda = open_libcuda()
    except MissingDependencyError as error:
        pytest.skip(error.message)
    driver = pytest.importorskip("pycuda.driver", reason="PyCUDA is not installed")
    try:
        driver.init()
        device = driver.Device(0)
    except driver.Error as error:
        pytest.skip(f"no GPU: {error}")
    major, minor = device.compute_capability()
    return Gpu(driver, libcuda, device.name(), 10 * major + minor)


class Kernel:
    """preprocess.cu on the GPU, apart from any session."""

    def __init__(self, gpu: Gpu) -> None:
        self.driver = gpu.driver
        self.stream = gpu.driver.Stream()
        self._module = gpu.driver.module_from_buffer(kernel_image(gpu.sm))

    def load(
        self, plan: FramePlan, frames: NDArray[np.uint8], kind: type, *, step: float = 1.0
    ) -> tuple[Any, Any, bytes, list[Any]]:
        """Put frames and tables on the GPU; return function, output, argument and what to keep."""
        window = plan.window
        cut = frames[:, window.top : window.bottom, window.left : window.right]
        packed = np.zeros(plan.frame_bytes * len(frames) + READ_BEHIND, np.uint8)
        for index, frame in enumerate(cut):
            packed[index * plan.frame_bytes :][: frame.size] = frame.ravel()
        pixels = self.driver.mem_alloc(packed.nbytes)
        tables = self.driver.mem_alloc(plan.tables.nbytes)
        self.driver.memcpy_htod(pixels, packed)
        self.driver.memcpy_htod(tables, plan.tables)
        shape = (len(frames), 3, plan.preprocess.height, plan.preprocess.width)
        out: NDArray[Any] = np.empty(shape, kind)
        result = self.driver.mem_alloc(out.nbytes)
        names = {"float32": "fp32", "float16": "fp16", "int8": "int8"}
        function = self._module.get_function(f"preprocess_{names[out.dtype.name]}")
        function.prepare((f"{PARAMETERS.itemsize}s",))
        parameters = plan.parameters(
            pixels=int(pixels), tables=int(tables), out=int(result), step=step
        )
        return function, (out, result), parameters, [pixels, tables, result]

    def run(
        self, plan: FramePlan, frames: NDArray[np.uint8], kind: type, *, step: float = 1.0
    ) -> NDArray[Any]:
        """The network inputs of frames (n, H, W, 3)."""
        function, answer, parameters, kept = self.load(plan, frames, kind, step=step)
        out: NDArray[Any] = answer[0]
        grid = (*plan.grid[:2], len(frames))
        function.prepared_async_call(grid, BLOCK, self.stream, parameters)
        self.stream.synchronize()
        self.driver.memcpy_dtoh(out, answer[1])
        for allocation in kept:
            allocation.free()
        return out

    def milliseconds(self, enqueue: Any, *, times: int) -> float:
        """The median time on the GPU of what `enqueue` enqueues."""
        samples = []
        for _ in range(times + 10):
            start, end = self.driver.Event(), self.driver.Event()
            start.record(self.stream)
            enqueue()
            end.record(self.stream)
            end.synchronize()
            samples.append(end.time_since(start))
        return float(np.median(samples[10:]))


@contextmanager
def open_kernel() -> Iterator[Kernel]:
    """The kernel in the primary context of the first GPU."""
    gpu = open_gpu()
    context = gpu.driver.Device(0).retain_primary_context()
    context.push()
    try:
        yield Kernel(gpu)
    finally:
        gpu.driver.Context.pop()
        context.detach()
        gpu.libcuda.pop_context()
