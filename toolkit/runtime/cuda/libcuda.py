"""The calls of libcuda that PyCUDA does not offer, through ctypes: stream capture and graphs."""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from toolkit.errors import MissingDependencyError

__all__ = ["GraphRefused", "LibCuda", "has_driver", "open_libcuda"]

_THREAD_LOCAL = 1  # CU_STREAM_CAPTURE_MODE_THREAD_LOCAL: other threads may use CUDA meanwhile
_LIBRARY = "libcuda.so.1"


class GraphRefused(Exception):  # noqa: N818 - not an error of the user's: the session runs without
    """The driver did not capture, instantiate or launch a graph; the text says why."""


@dataclass(frozen=True)
class LibCuda:
    """`library` is the loaded libcuda. Every method needs a current context."""

    library: Any

    def capture(self, stream: int, work: Callable[[], None]) -> int:
        """Return an executable graph of what `work` enqueues on `stream`, without running it.

        The stream is out of capture again in any case. Raises GraphRefused, also for what `work`
        raises.
        """
        self._call("cuStreamBeginCapture_v2", ctypes.c_void_p(stream), _THREAD_LOCAL)
        graph = ctypes.c_void_p()
        try:
            work()
        except Exception as error:
            self.library.cuStreamEndCapture(ctypes.c_void_p(stream), ctypes.byref(graph))
            self._destroy_template(graph)
            raise GraphRefused(str(error)) from error
        self._call("cuStreamEndCapture", ctypes.c_void_p(stream), ctypes.byref(graph))
        executable = ctypes.c_void_p()
        try:
            self._call(
                "cuGraphInstantiateWithFlags", ctypes.byref(executable), graph, ctypes.c_uint64(0)
            )
        finally:
            self._destroy_template(graph)
        if not executable.value:
            raise GraphRefused("cuGraphInstantiateWithFlags gave no graph")
        return executable.value

    def launch(self, graph: int, stream: int) -> None:
        """Enqueue an executable graph."""
        self._call("cuGraphLaunch", ctypes.c_void_p(graph), ctypes.c_void_p(stream))

    def destroy(self, graph: int) -> None:
        """Free an executable graph."""
        self.library.cuGraphExecDestroy(ctypes.c_void_p(graph))

    def pop_context(self) -> None:
        """Take the top context off this thread's stack, whatever it is."""
        self.library.cuCtxPopCurrent_v2(ctypes.byref(ctypes.c_void_p()))

    def _destroy_template(self, graph: ctypes.c_void_p) -> None:
        if graph.value:
            self.library.cuGraphDestroy(graph)

    def _call(self, name: str, *arguments: Any) -> None:
        try:
            code = getattr(self.library, name)(*arguments)
        except AttributeError as error:  # a driver older than CUDA 11.4
            raise GraphRefused(f"this driver has no {name}") from error
        if code != 0:
            raise GraphRefused(f"{name}: {self._words(code)}")

    def _words(self, code: int) -> str:
        text = ctypes.c_char_p()
        self.library.cuGetErrorName(code, ctypes.byref(text))
        return text.value.decode() if text.value else f"error {code}"


def has_driver() -> bool:
    """Return whether NVIDIA's driver library is on this machine; a GPU may still be missing."""
    try:
        ctypes.CDLL(_LIBRARY)
    except OSError:
        return False
    return True


def open_libcuda() -> LibCuda:
    """Return the driver library. Raises MissingDependencyError where there is none."""
    try:
        return LibCuda(ctypes.CDLL(_LIBRARY))
    except OSError as error:
        raise MissingDependencyError(
            f"There is no NVIDIA driver here ({_LIBRARY} does not load: {error}).",
            next_command="edgekit doctor",
        ) from error
