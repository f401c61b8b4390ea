"""What the modules `tensorrt` and `tensorrt_rtx` offer a session, over ONNX Runtime on the CPU.

A test double: an "engine" is an ONNX file behind a mark. `make_trt(machine)` has the classes of
TensorRT 10, `make_trt(machine, rtx=True)` those of TensorRT-RTX. Tests hold the names against the
real bindings.
"""

from __future__ import annotations

import hashlib
from types import ModuleType
from typing import Any

import numpy as np
import onnx
import onnxruntime
from numpy.typing import NDArray

from tests.doubles.cuda_machine import CudaMachine

__all__ = ["ENGINE_MARK", "engine_bytes", "make_trt"]

ENGINE_MARK = b"edgekit test double engine\n"
_DTYPES = {"tensor(float)": "FLOAT", "tensor(float16)": "HALF", "tensor(int8)": "INT8"}
_NUMPY = {"FLOAT": np.float32, "HALF": np.float16, "INT8": np.int8, "DOUBLE": np.float64}


def engine_bytes(model: onnx.ModelProto, *, batch: tuple[int, int, int] = (1, 2, 4)) -> bytes:
    """An engine of `model` with the profile `batch` where its batch is dynamic."""
    profile = ":".join(map(str, batch)).encode() + b"\n"
    return b"".join([ENGINE_MARK, profile, model.SerializeToString()])


class ILogger:
    INTERNAL_ERROR, ERROR, WARNING, INFO, VERBOSE = range(5)

    def __init__(self) -> None:
        self.ready = True


class Runtime:
    def __init__(self, logger: Any) -> None:
        assert logger.ready, "ILogger.__init__ was not called"
        self._logger = logger
        self.engine_host_code_allowed = False

    def deserialize_cuda_engine(self, serialized_engine: bytes) -> Any:
        machine: CudaMachine = self.machine  # type: ignore[attr-defined]
        machine.call("deserialize")
        if not serialized_engine.startswith(ENGINE_MARK):
            self._logger.log(ILogger.ERROR, "Serialization assertion magicTag failed.")
            return None
        profile, _, model = serialized_engine.removeprefix(ENGINE_MARK).partition(b"\n")
        sizes = tuple(int(size) for size in profile.split(b":"))
        return self.engine_class(machine, self._logger, model, sizes)  # type: ignore[attr-defined]


class ICudaEngine:
    def __init__(
        self, machine: CudaMachine, logger: Any, model: bytes, profile: tuple[int, ...]
    ) -> None:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        options.log_severity_level = 3
        self.session = onnxruntime.InferenceSession(model, options, ["CPUExecutionProvider"])
        self.machine = machine
        self.logger = logger
        self.profile = profile
        self.tensors = {each.name: each for each in self.session.get_inputs()}
        self.outputs = {each.name: each for each in self.session.get_outputs()}
        self.num_io_tensors = len(self.tensors) + len(self.outputs)

    def get_tensor_name(self, index: int) -> str:
        return str([*self.tensors, *self.outputs][index])

    def get_tensor_mode(self, name: str) -> str:
        return "INPUT" if name in self.tensors else "OUTPUT"

    def get_tensor_dtype(self, name: str) -> str:
        return _DTYPES.get((self.tensors | self.outputs)[name].type, "DOUBLE")

    def get_tensor_shape(self, name: str) -> tuple[int, ...]:
        shape = (self.tensors | self.outputs)[name].shape
        return tuple(size if isinstance(size, int) else -1 for size in shape)

    def get_tensor_profile_shape(self, name: str, profile_index: int) -> list[tuple[int, ...]]:
        assert profile_index == 0
        return [(size, *self.get_tensor_shape(name)[1:]) for size in self.profile]

    def create_execution_context(self, runtime_config: Any = None) -> Any:
        self.machine.call("create_execution_context")
        return IExecutionContext(self, runtime_config)


class IExecutionContext:
    def __init__(self, engine: ICudaEngine, runtime_config: Any) -> None:
        self._engine = engine
        self._config = runtime_config
        self._addresses: dict[str, int] = {}
        self._source = next(iter(engine.tensors))
        self._shape = engine.get_tensor_shape(self._source)
        self._ready_for: tuple[int, ...] = ()

    def set_input_shape(self, name: str, shape: tuple[int, ...]) -> bool:
        smallest, _, largest = self._engine.profile
        if name != self._source or not smallest <= shape[0] <= largest:
            words = f"Static dimension mismatch while setting input shape for {name}."
            self._engine.logger.log(ILogger.ERROR, words)
            return False
        self._shape = tuple(shape)
        return True

    def get_tensor_shape(self, name: str) -> tuple[int, ...]:
        shape = self._engine.get_tensor_shape(name)
        return (self._shape[0], *shape[1:]) if shape[0] < 0 else shape

    def set_tensor_address(self, name: str, memory: int) -> bool:
        self._addresses[name] = memory
        return True

    def execute_async_v3(self, stream_handle: int) -> bool:
        machine = self._engine.machine
        machine.call("execute_async_v3")
        if "enqueue" in machine.broken:
            self._engine.logger.log(ILogger.ERROR, machine.broken["enqueue"])
            return False
        stream = machine.streams[stream_handle]
        if stream.captured is not None and self._ready_for != self._shape:
            # The real one allocates and uploads in the first enqueue of a shape.
            stream.spoiled = "an enqueue that allocates"
            self._engine.logger.log(ILogger.ERROR, "operation not permitted when stream capturing")
            return False
        self._ready_for = self._shape
        shape = self._shape
        stream.enqueue(lambda: self._compute(shape))
        if self._config is not None:
            self._config._compile(shape)
        return True

    def _compute(self, shape: tuple[int, ...]) -> None:
        engine = self._engine
        source = self._array(self._source, shape)
        answers = engine.session.run(list(engine.outputs), {self._source: source})
        for name, answer in zip(engine.outputs, answers, strict=True):
            np.copyto(self._array(name, answer.shape), answer)

    def _array(self, name: str, shape: tuple[int, ...]) -> NDArray[Any]:
        dtype = np.dtype(_NUMPY[self._engine.get_tensor_dtype(name)])
        nbytes = int(np.prod(shape)) * dtype.itemsize
        memory = self._engine.machine.bytes_at(self._addresses[name], nbytes)
        return memory.view(dtype).reshape(shape)


class IRuntimeCache:
    """Compiled kernels: bytes that name the machine, and the shapes seen."""

    def __init__(self, machine: CudaMachine) -> None:
        self._mark = hashlib.sha256(machine.gpu.encode()).digest()
        self.shapes: list[str] = []

    def deserialize(self, blob: bytes) -> bool:
        if not blob.startswith(self._mark):
            return False
        self.shapes = blob.removeprefix(self._mark).decode().split()
        return True

    def serialize(self) -> bytes:
        return self._mark + " ".join(self.shapes).encode()


class IRuntimeConfig:
    def __init__(self, machine: CudaMachine) -> None:
        self._machine = machine
        self._cache: IRuntimeCache | None = None
        self.cuda_graph_strategy = "DISABLED"
        machine.calls.append("create_runtime_config")

    def create_runtime_cache(self) -> IRuntimeCache:
        return IRuntimeCache(self._machine)

    def set_runtime_cache(self, cache: IRuntimeCache) -> bool:
        self._cache = cache
        return True

    def _compile(self, shape: tuple[int, ...]) -> None:
        self._machine.calls.append(f"graphs {self.cuda_graph_strategy}")
        text = "x".join(map(str, shape))
        if self._cache is not None and text not in self._cache.shapes:
            self._machine.calls.append("compile")
            self._cache.shapes.append(text)


class RtxEngine(ICudaEngine):
    def create_runtime_config(self) -> IRuntimeConfig:
        return IRuntimeConfig(self.machine)


class _Names:
    def __init__(self, *names: str) -> None:
        for name in names:
            setattr(self, name, name)


def make_trt(machine: CudaMachine, *, rtx: bool = False) -> Any:
    """What stands for the module of the bindings."""
    module: Any = ModuleType("tensorrt_rtx" if rtx else "tensorrt")
    module.__version__ = "1.7.1.116" if rtx else "10.3.0"
    module.ILogger = ILogger
    engine_class = RtxEngine if rtx else ICudaEngine
    module.Runtime = type("Runtime", (Runtime,), {"machine": machine, "engine_class": engine_class})
    module.DataType = _Names("FLOAT", "HALF", "INT8")
    module.TensorIOMode = _Names("INPUT", "OUTPUT")
    if rtx:
        module.CudaGraphStrategy = _Names("DISABLED", "WHOLE_GRAPH_CAPTURE")
    return module
