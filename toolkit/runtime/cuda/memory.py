"""Buffers of one session: page-locked on the host, plain on the GPU, one and the same on Jetson.

A Jetson's GPU shares the CPU's memory, so buffers that the GPU reads or writes once are mapped:
no copy at all. Buffers that it reads several times (network inputs) stay in its own, cached kind.
Everything is freed by `free`, in the context that allocated it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

__all__ = ["Buffer", "Memory"]


@dataclass(frozen=True)
class Buffer:
    """`host` is page-locked, `address` what the GPU uses; `mapped`: both are the same memory."""

    host: NDArray[Any]
    address: int
    mapped: bool


class Memory:
    """Allocates on `stream`'s device; needs the context to be current in every method."""

    def __init__(self, driver: Any, stream: Any, *, mapped: bool) -> None:
        self._driver = driver
        self._stream = stream
        self._mapped = mapped
        self._frees: list[Callable[[], None]] = []

    def device(self, nbytes: int) -> int:
        """Return the address of `nbytes` on the GPU, aligned to at least 256."""
        allocation = self._driver.mem_alloc(nbytes)
        self._frees.append(allocation.free)
        return int(allocation)

    def buffer(self, shape: tuple[int, ...], dtype: DTypeLike, *, map_it: bool = True) -> Buffer:
        """Return a host array with its counterpart; mapped on Jetson unless `map_it` is False."""
        mapped = self._mapped and map_it
        flags = self._driver.host_alloc_flags.DEVICEMAP if mapped else 0
        host = self._driver.pagelocked_empty(shape, np.dtype(dtype), mem_flags=flags)
        self._frees.append(host.base.free)
        address = host.base.get_device_pointer() if mapped else self.device(host.nbytes)
        return Buffer(host, int(address), mapped)

    def upload(self, buffer: Buffer, start: int, stop: int) -> None:
        """Enqueue the copy of rows `start` to `stop` (of the first axis) to the GPU."""
        if not buffer.mapped:
            part = buffer.host[start:stop]
            offset = start * (buffer.host.nbytes // len(buffer.host))
            self._driver.memcpy_htod_async(buffer.address + offset, part, self._stream)

    def download(self, buffer: Buffer, stop: int) -> None:
        """Enqueue the copy of the first `stop` rows from the GPU."""
        if not buffer.mapped:
            self._driver.memcpy_dtoh_async(buffer.host[:stop], buffer.address, self._stream)

    def free(self) -> None:
        """Free everything, newest first. Nothing may be running any more."""
        while self._frees:
            self._frees.pop()()
