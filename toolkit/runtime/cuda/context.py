"""The primary CUDA context of one GPU, retained for one session and used from one thread.

PyCUDA keeps a stack of contexts of its own for each thread. Every use pushes and pops, so that
nothing stays current between two calls and several sessions share a thread without noticing.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from toolkit.errors import InputError, MachineError
from toolkit.runtime.cuda.libcuda import LibCuda
from toolkit.shell import quoted

__all__ = ["PrimaryContext"]


class PrimaryContext:
    """Retained by the constructor, released by `close`. `driver` is `pycuda.driver`."""

    def __init__(self, driver: Any, libcuda: LibCuda, ordinal: int, *, user: str) -> None:
        self._driver = driver
        self._libcuda = libcuda
        self._user = user
        self._thread = threading.get_ident()
        self._thread_name = threading.current_thread().name
        try:
            driver.init()
            device = driver.Device(ordinal)
            self.gpu: str = device.name()
            major, minor = device.compute_capability()
            self.sm = 10 * major + minor
            self.integrated = bool(device.get_attribute(driver.device_attribute.INTEGRATED))
            self._context: Any = device.retain_primary_context()
        except driver.Error as error:
            raise MachineError(
                f"GPU {ordinal} cannot be used: {error}.", next_command="edgekit doctor"
            ) from error

    @contextmanager
    def current(self) -> Iterator[None]:
        """Make the context current for a block; CUDA's errors leave it as MachineError.

        Raises InputError in another thread than the one that opened it, and after `close`.
        """
        self._check_thread()
        if self._context is None:
            raise InputError(
                f"The session of {self._user} is closed: call it inside its `with`.",
                next_command=f"edgekit measure {quoted(self._user)}",
            )
        try:
            self._context.push()
            try:
                yield
            finally:
                self._driver.Context.pop()
        except self._driver.MemoryError as error:
            raise MachineError(
                f"The memory of {self.gpu} is full: {self._user} does not fit ({error}).",
                next_command="nvidia-smi",
            ) from error
        except self._driver.Error as error:
            raise MachineError(
                f"CUDA failed on {self.gpu} while it ran {self._user}: {error}.",
                next_command="edgekit doctor",
            ) from error

    @property
    def is_closed(self) -> bool:
        """Return whether the context was released."""
        return self._context is None

    def close(self) -> None:
        """Release the context. What was allocated in it must have been freed."""
        if self._context is None:
            return
        self._check_thread()
        context, self._context = self._context, None
        # PyCUDA pushes the context to release it and trusts the release to pop it, as it does for
        # contexts it made itself. cuDevicePrimaryCtxRelease pops nothing.
        context.detach()
        self._libcuda.pop_context()

    def _check_thread(self) -> None:
        if threading.get_ident() != self._thread:
            raise InputError(
                f"The session of {self._user} was opened by thread {self._thread_name!r} and used "
                f"by thread {threading.current_thread().name!r}: a CUDA session belongs to the "
                "thread that opened it.",
                next_command=f"edgekit measure {quoted(self._user)}",
            )
