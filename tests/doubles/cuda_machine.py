"""A machine with a GPU that is the CPU: what `pycuda.driver` and libcuda do, as far as we call it.

A test double, never evidence about hardware. It is strict where real CUDA is silent or fatal:
every call needs a current context, copies must stay inside live allocations, and asynchronous work
runs only when somebody waits for it, so that a buffer touched too early shows. Kernels are run by
the g++ build of preprocess.cu.
"""

from __future__ import annotations

import ctypes
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tests.doubles.host_kernel import run_parameters
from toolkit.runtime.cuda.frame_plan import PARAMETERS, READ_BEHIND

__all__ = ["CudaMachine", "FakeLibCuda", "make_driver"]

_KINDS = {"preprocess_fp32": "float32", "preprocess_fp16": "float16", "preprocess_int8": "int8"}
_SIZES = {"float32": 4, "float16": 2, "int8": 1}

Work = Callable[[], None]


class Error(Exception):
    """pycuda.driver.Error"""


class LogicError(Error):
    """pycuda.driver.LogicError"""


class OutOfMemoryError(Error):
    """pycuda.driver.MemoryError"""


@dataclass
class CudaMachine:
    """The machine's state. Tests read it; `broken` makes the named driver calls fail."""

    gpu: str = "NVIDIA Test GPU"
    sm: int = 87
    integrated: bool = False
    memory_bytes: int = 1 << 30
    broken: dict[str, str] = field(default_factory=dict)
    retained: int = 0
    allocations: dict[int, NDArray[np.uint8]] = field(default_factory=dict)
    streams: dict[int, FakeStream] = field(default_factory=dict)
    graphs: dict[int, list[Work]] = field(default_factory=dict)
    calls: list[str] = field(default_factory=list)
    _stacks: threading.local = field(default_factory=threading.local)

    @property
    def stack(self) -> list[str]:
        """The contexts of this thread, the current one last, as libcuda sees them."""
        if not hasattr(self._stacks, "contexts"):
            self._stacks.contexts = []
        contexts: list[str] = self._stacks.contexts
        return contexts

    def call(self, name: str, *, needs_context: bool = True) -> None:
        self.calls.append(name)
        if name in self.broken:
            raise LogicError(f"{name} failed: {self.broken[name]}")
        if needs_context and (not self.stack or not self.retained):
            raise LogicError(f"{name} failed: invalid device context")

    def allocate(self, nbytes: int) -> int:
        if nbytes <= 0:
            raise LogicError("cuMemAlloc failed: invalid argument")
        if nbytes + sum(each.nbytes for each in self.allocations.values()) > self.memory_bytes:
            raise OutOfMemoryError("cuMemAlloc failed: out of memory")
        room = np.full(nbytes + 256, 0xCD, np.uint8)  # never zero: nobody may rely on that
        start = -room.ctypes.data % 256
        aligned = room[start : start + nbytes]
        self.allocations[aligned.ctypes.data] = aligned
        return int(aligned.ctypes.data)

    def free(self, address: int) -> None:
        if self.allocations.pop(address, None) is None:
            raise LogicError("cuMemFree failed: invalid argument")

    def bytes_at(self, address: int, nbytes: int) -> NDArray[np.uint8]:
        """The `nbytes` at `address`; raises where a GPU would fault."""
        for start, memory in self.allocations.items():
            if start <= address and address + nbytes <= start + memory.nbytes:
                return memory[address - start :][:nbytes]
        raise LogicError(f"illegal memory access: {nbytes} bytes at {address:#x}")


class FakeStream:
    def __init__(self, machine: CudaMachine, flags: int = 0) -> None:
        machine.call("cuStreamCreate")
        self.machine = machine
        self.handle = 0x5000 + len(machine.calls)
        self.queue: list[Work] = []
        self.captured: list[Work] | None = None
        self.spoiled = ""
        machine.streams[self.handle] = self

    def enqueue(self, work: Work) -> None:
        (self.queue if self.captured is None else self.captured).append(work)

    def synchronize(self) -> None:
        self.machine.call("cuStreamSynchronize")
        self.drain()

    def drain(self) -> None:
        if self.captured is not None:
            self.spoiled = "waiting for a captured stream"
            raise LogicError("cuStreamSynchronize failed: operation not permitted when capturing")
        queue, self.queue = self.queue, []
        for work in queue:
            work()


class FakeEvent:
    def __init__(self, machine: CudaMachine, flags: int = 0) -> None:
        machine.call("cuEventCreate")
        self.machine = machine
        self.flags = flags
        self.stream: FakeStream | None = None
        self.at_s = float("nan")

    def record(self, stream: FakeStream) -> FakeEvent:
        self.machine.call("cuEventRecord")
        self.stream = stream
        stream.enqueue(self._happen)
        return self

    def synchronize(self) -> FakeEvent:
        self.machine.call("cuEventSynchronize")
        assert self.stream is not None, "recorded before it is waited for"
        self.stream.drain()
        return self

    def time_since(self, other: FakeEvent) -> float:
        self.machine.call("cuEventElapsedTime")
        return (self.at_s - other.at_s) * 1e3

    def _happen(self) -> None:
        self.at_s = time.perf_counter()


class FakeContext:
    """A retained primary context, with PyCUDA's way of releasing it."""

    def __init__(self, machine: CudaMachine) -> None:
        machine.call("cuDevicePrimaryCtxRetain", needs_context=False)
        machine.retained += 1
        self._machine = machine
        self._valid = True

    def push(self) -> None:
        self._machine.stack.append("primary")

    def detach(self) -> None:
        if not self._valid:
            raise LogicError("context::detach failed: invalid device context")
        self._machine.stack.append("primary")  # PyCUDA pushes it, and the release pops nothing
        self._machine.retained -= 1
        self._valid = False


class DeviceAllocation:
    def __init__(self, machine: CudaMachine, nbytes: int) -> None:
        machine.call("cuMemAlloc")
        self._machine = machine
        self._address = machine.allocate(nbytes)

    def __int__(self) -> int:
        return self._address

    def free(self) -> None:
        self._machine.call("cuMemFree")
        self._machine.free(self._address)


class HostAllocation:
    """Page-locked memory; the owner of the array that numpy makes of it."""

    def __init__(self, machine: CudaMachine, shape: Any, dtype: Any, flags: int) -> None:
        machine.call("cuMemHostAlloc")
        self._machine = machine
        self._mapped = bool(flags & 2)
        self._address = machine.allocate(int(np.prod(shape)) * np.dtype(dtype).itemsize)
        self.__array_interface__ = {
            "shape": tuple(shape),
            "typestr": np.dtype(dtype).str,
            "data": (self._address, False),
            "version": 3,
        }

    def get_device_pointer(self) -> int:
        if not self._mapped:
            raise LogicError("cuMemHostGetDevicePointer failed: invalid argument")
        return self._address

    def free(self) -> None:
        self._machine.call("cuMemFreeHost")
        self._machine.free(self._address)


class FakeFunction:
    def __init__(self, machine: CudaMachine, name: str) -> None:
        self._machine = machine
        self._name = name
        self._format = ""

    def prepare(self, arg_types: tuple[str, ...]) -> FakeFunction:
        self._format = "".join(arg_types)
        return self

    def prepared_async_call(
        self,
        grid: tuple[int, int, int],
        block: tuple[int, int, int],
        stream: FakeStream,
        parameters: bytes,
    ) -> None:
        self._machine.call("cuLaunchKernel")
        assert self._format == f"{len(parameters)}s"
        values = np.frombuffer(parameters, PARAMETERS)[0]
        assert grid == (-(-values["width"] // 32), -(-values["height"] // 8), 1)
        assert block == (32, 8, 1)
        stream.enqueue(lambda: self._run(parameters, values))

    def _run(self, parameters: bytes, values: Any) -> None:
        at = self._machine.bytes_at
        kind = _KINDS[self._name]
        width, height = int(values["width"]), int(values["height"])
        rows = at(int(values["bounds_y"]), 8 * height).view(np.int32).reshape(-1, 2).sum(1).max()
        at(int(values["pixels"]), int(rows) * int(values["pitch"]) + READ_BEHIND)
        at(int(values["bounds_x"]), 8 * width)
        at(int(values["taps_x"]), 4 * width * int(values["stride_x"]))
        at(int(values["taps_y"]), 4 * height * int(values["stride_y"]))
        at(int(values["out"]), 3 * width * height * _SIZES[kind])
        run_parameters(parameters, kind)


class FakeModule:
    def __init__(self, machine: CudaMachine, image: bytes) -> None:
        machine.call("cuModuleLoadDataEx")
        assert image.endswith(b"\0"), "PTX is a C string"
        self._machine = machine
        self._text = image.decode()

    def get_function(self, name: str) -> FakeFunction:
        if f".entry {name}(" not in self._text:
            raise LogicError("cuModuleGetFunction failed: named symbol not found")
        return FakeFunction(self._machine, name)


def make_driver(machine: CudaMachine) -> Any:
    """What stands for the module `pycuda.driver`."""

    def device(ordinal: int) -> Any:
        if ordinal != 0:
            raise LogicError("cuDeviceGet failed: invalid device ordinal")
        return SimpleNamespace(
            name=lambda: machine.gpu,
            compute_capability=lambda: divmod(machine.sm, 10),
            get_attribute=lambda attribute: int(attribute == "integrated" and machine.integrated),
            retain_primary_context=lambda: FakeContext(machine),
        )

    def pop() -> None:
        if not machine.stack:
            raise LogicError("context::pop failed: invalid device context")
        machine.stack.pop()

    def pagelocked_empty(shape: Any, dtype: Any, order: str = "C", mem_flags: int = 0) -> Any:
        return np.asarray(HostAllocation(machine, shape, dtype, mem_flags))

    def htod(dest: int, src: NDArray[Any], stream: FakeStream) -> None:
        machine.call("cuMemcpyHtoDAsync")
        assert src.flags.c_contiguous, "PyCUDA takes contiguous buffers only"
        source = machine.bytes_at(src.ctypes.data, src.nbytes)  # page-locked, or it is a mistake
        to = machine.bytes_at(dest, src.nbytes)
        stream.enqueue(lambda: np.copyto(to, source))

    def dtoh(dest: NDArray[Any], src: int, stream: FakeStream) -> None:
        machine.call("cuMemcpyDtoHAsync")
        assert dest.flags.c_contiguous, "PyCUDA takes contiguous buffers only"
        to = machine.bytes_at(dest.ctypes.data, dest.nbytes)
        source = machine.bytes_at(src, dest.nbytes)
        stream.enqueue(lambda: np.copyto(to, source))

    return SimpleNamespace(
        Error=Error,
        LogicError=LogicError,
        MemoryError=OutOfMemoryError,
        init=lambda: machine.call("cuInit", needs_context=False),
        Device=device,
        Context=SimpleNamespace(pop=pop),
        Stream=lambda flags=0: FakeStream(machine, flags),
        Event=lambda flags=0: FakeEvent(machine, flags),
        device_attribute=SimpleNamespace(INTEGRATED="integrated"),
        host_alloc_flags=SimpleNamespace(DEVICEMAP=2),
        event_flags=SimpleNamespace(BLOCKING_SYNC=1),
        mem_alloc=lambda nbytes: DeviceAllocation(machine, nbytes),
        pagelocked_empty=pagelocked_empty,
        memcpy_htod_async=htod,
        memcpy_dtoh_async=dtoh,
        module_from_buffer=lambda image: FakeModule(machine, image),
    )


class FakeLibCuda:
    """The calls that are made through ctypes; each returns a CUresult."""

    def __init__(self, machine: CudaMachine) -> None:
        self._machine = machine

    def _result(self, name: str) -> int:
        self._machine.calls.append(name)
        return 801 if name in self._machine.broken else 0

    def cuStreamBeginCapture_v2(self, stream: ctypes.c_void_p, mode: int) -> int:  # noqa: N802
        if code := self._result("cuStreamBeginCapture_v2"):
            return code
        taken = self._machine.streams[stream.value or 0]
        taken.captured, taken.spoiled = [], ""
        return 0

    def cuStreamEndCapture(self, stream: ctypes.c_void_p, graph: Any) -> int:  # noqa: N802
        code = self._result("cuStreamEndCapture")
        taken = self._machine.streams[stream.value or 0]
        work, taken.captured = taken.captured or [], None
        if code or taken.spoiled:
            return code or 901
        handle = 0x7000 + len(self._machine.calls)
        self._machine.graphs[handle] = work
        graph._obj.value = handle
        return 0

    def cuGraphInstantiateWithFlags(  # noqa: N802
        self, executable: Any, graph: ctypes.c_void_p, flags: ctypes.c_uint64
    ) -> int:
        if code := self._result("cuGraphInstantiateWithFlags"):
            return code
        handle = 0x9000 + len(self._machine.calls)
        self._machine.graphs[handle] = self._machine.graphs[graph.value or 0]
        executable._obj.value = handle
        return 0

    def cuGraphLaunch(self, graph: ctypes.c_void_p, stream: ctypes.c_void_p) -> int:  # noqa: N802
        if code := self._result("cuGraphLaunch"):
            return code
        for work in self._machine.graphs[graph.value or 0]:
            self._machine.streams[stream.value or 0].enqueue(work)
        return 0

    def cuGraphDestroy(self, graph: ctypes.c_void_p) -> int:  # noqa: N802
        del self._machine.graphs[graph.value or 0]
        return self._result("cuGraphDestroy")

    def cuGraphExecDestroy(self, graph: ctypes.c_void_p) -> int:  # noqa: N802
        del self._machine.graphs[graph.value or 0]
        return self._result("cuGraphExecDestroy")

    def cuCtxPopCurrent_v2(self, context: Any) -> int:  # noqa: N802
        if not self._machine.stack:
            return 201
        self._machine.stack.pop()
        return self._result("cuCtxPopCurrent_v2")

    def cuGetErrorName(self, code: int, text: Any) -> int:  # noqa: N802
        names = {801: b"CUDA_ERROR_NOT_SUPPORTED", 901: b"CUDA_ERROR_STREAM_CAPTURE_INVALIDATED"}
        text._obj.value = names[code]
        return 0
