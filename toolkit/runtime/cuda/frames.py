"""Camera frames on the GPU: copy the part that the network sees, and run the fused kernel on it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from toolkit.errors import InputError
from toolkit.preprocess import Preprocess
from toolkit.runtime.cuda.frame_plan import BLOCK, PARAMETERS, READ_BEHIND, FramePlan, plan_frame
from toolkit.runtime.cuda.kernel_image import kernel_image
from toolkit.runtime.cuda.memory import Buffer, Memory
from toolkit.shell import quoted

__all__ = ["FrameInput", "check_frame"]

_KERNELS = {"float32": "preprocess_fp32", "float16": "preprocess_fp16", "int8": "preprocess_int8"}
_BAND_BYTES = 512 << 10
"""Frames are copied in bands: the GPU fetches one while the CPU copies the next."""


def check_frame(frame: Any, *, engine_name: str) -> None:
    """Raise InputError when `frame` is not uint8 (height, width, 3)."""
    if (
        isinstance(frame, np.ndarray)
        and frame.dtype == np.uint8
        and frame.ndim == 3
        and frame.shape[2] == 3
        and min(frame.shape) > 0
    ):
        return
    found = (
        f"{frame.dtype} ({', '.join(map(str, frame.shape))})"
        if isinstance(frame, np.ndarray)
        else type(frame).__name__
    )
    raise InputError(
        f"{engine_name} takes BGR frames of uint8 (height, width, 3), got {found}.",
        next_command=f"edgekit inspect {quoted(engine_name)}",
    )


@dataclass(frozen=True)
class _Size:
    """What one frame size needs: staging for the window, and the kernel's argument."""

    plan: FramePlan
    staging: Buffer
    rows: NDArray[np.uint8]
    memory: Memory
    parameters: bytes


class FrameInput:
    """Fills the network's input at the address `out` from frames, on one stream.

    Every method needs the CUDA context. Raises what `kernel_image` raises.
    """

    def __init__(
        self,
        driver: Any,
        stream: Any,
        preprocess: Preprocess,
        *,
        sm: int,
        mapped: bool,
        out: int,
        dtype: DTypeLike,
        step: float = 1.0,
    ) -> None:
        self._driver = driver
        self._stream = stream
        self._preprocess = preprocess
        self._mapped = mapped
        self._out = out
        self._step = step
        self._module = driver.module_from_buffer(kernel_image(sm))
        self._kernel = self._module.get_function(_KERNELS[np.dtype(dtype).name])
        self._kernel.prepare((f"{PARAMETERS.itemsize}s",))
        self._size: _Size | None = None
        self._shape = (0, 0)

    def upload(self, frame: NDArray[np.uint8]) -> None:
        """Copy the window of `frame` to where the kernel reads it; the frame is free afterwards."""
        size = self._size_for(frame)
        window = size.plan.window
        cut = frame[window.top : window.bottom, window.left : window.right]
        if cut.strides[1:] == (3, 1):  # rows of bytes copy faster than pixels of three
            cut = np.lib.stride_tricks.as_strided(
                cut, (len(cut), size.plan.pitch), (cut.strides[0], 1), writeable=False
            )
        else:
            cut = cut.reshape(len(cut), size.plan.pitch)
        band = len(cut) if self._mapped else max(_BAND_BYTES // size.plan.pitch, 1)
        for start in range(0, len(cut), band):
            stop = min(start + band, len(cut))
            np.copyto(size.rows[start:stop], cut[start:stop])
            size.memory.upload(size.staging, start * size.plan.pitch, stop * size.plan.pitch)

    def launch(self) -> None:
        """Enqueue the kernel for the frame that was uploaded last."""
        assert self._size is not None  # the session uploads first
        self._kernel.prepared_async_call(
            self._size.plan.grid, BLOCK, self._stream, self._size.parameters
        )

    def close(self) -> None:
        """Free everything. Nothing may be running any more."""
        if self._size is not None:
            self._size.memory.free()
        self._size = None
        del self._kernel, self._module

    def _size_for(self, frame: NDArray[np.uint8]) -> _Size:
        height, width = frame.shape[:2]
        if self._size is None or self._shape != (height, width):
            if self._size is not None:
                self._size.memory.free()
                self._size = None
            self._size = self._prepare(width, height)
            self._shape = (height, width)
        return self._size

    def _prepare(self, width: int, height: int) -> _Size:
        plan = plan_frame(self._preprocess, width, height)
        memory = Memory(self._driver, self._stream, mapped=self._mapped)
        tables = memory.buffer((plan.tables.size,), np.int32, map_it=False)
        tables.host[:] = plan.tables
        memory.upload(tables, 0, plan.tables.size)
        pixels = plan.pitch * (plan.window.bottom - plan.window.top)
        staging = memory.buffer((pixels + READ_BEHIND,), np.uint8)
        parameters = plan.parameters(
            pixels=staging.address, tables=tables.address, out=self._out, step=self._step
        )
        rows = staging.host[:pixels].reshape(-1, plan.pitch)
        return _Size(plan, staging, rows, memory, parameters)
