"""A deserialised engine with its execution context, for TensorRT and TensorRT-RTX alike.

`trt` is the module of the bindings. What only one of the two offers is asked for with hasattr:
runtime configuration (its own CUDA graphs, a cache of compiled kernels) is TensorRT-RTX's.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import DTypeLike

from toolkit.activation_map import ACTIVATION_MAP
from toolkit.artifacts import Engine
from toolkit.atomic import write_bytes
from toolkit.errors import MachineError, ModelError
from toolkit.runtime.cuda.foreign import foreign_engine
from toolkit.tensorrt_log import newest_errors, process_logger

__all__ = ["LoadedEngine", "RuntimeCache", "TensorSpec", "load_engine", "runtime_cache_path"]


@dataclass(frozen=True)
class TensorSpec:
    """The engine's input or output; the first dimension of `shape` is -1 for a dynamic batch."""

    name: str
    shape: tuple[int, ...]
    dtype: DTypeLike


class RuntimeCache:
    """The kernels that TensorRT-RTX compiled for this GPU, kept in a file beside the engine.

    TensorRT-RTX itself refuses a cache of another GPU, driver or version, and compiles again.
    """

    def __init__(self, config: Any, path: Path) -> None:
        self._path = path
        self._cache = config.create_runtime_cache()
        self._saved = b""
        self.note = "kernels compiled at first use"
        if path.exists():
            content = path.read_bytes()
            if self._cache.deserialize(content):
                self._saved, self.note = content, ""
            else:
                self.note = f"{path.name} was made elsewhere: kernels compiled again"
        config.set_runtime_cache(self._cache)

    def save(self) -> None:
        """Write the cache if it has grown; a folder that cannot be written is worth a note."""
        content = bytes(self._cache.serialize() or b"")
        if content and content != self._saved:
            try:
                write_bytes(self._path, content)
            except MachineError as error:
                self.note = f"compiled kernels are not kept: {error.message}"
            self._saved = content


class LoadedEngine:
    """Ready to enqueue. `close` needs the CUDA context that was current when it was made."""

    def __init__(
        self,
        trt: Any,
        runtime: Any,
        engine: Any,
        *,
        own_graphs: bool,
        cache_path: Path,
    ) -> None:
        self._trt = trt
        self._runtime = runtime  # must outlive the engine
        self._engine = engine
        self.cache: RuntimeCache | None = None
        self.has_own_graphs = False
        config = self._runtime_config(trt, own_graphs, cache_path)
        self.context: Any = (
            engine.create_execution_context()
            if config is None
            else engine.create_execution_context(config)
        )
        if self.context is None:
            raise MachineError(
                f"The engine's execution context was not made: {newest_errors(trt)}.",
                next_command="nvidia-smi",
            )
        self.input, self.output, self.activation_map = _tensors(trt, engine)
        self.batch = _batch_range(engine, self.input)

    def _runtime_config(self, trt: Any, own_graphs: bool, cache_path: Path) -> Any:
        if not hasattr(trt, "CudaGraphStrategy"):
            return None  # TensorRT 10.16 has a configuration too, with nothing in it that we need
        config = self._engine.create_runtime_config()
        strategies = trt.CudaGraphStrategy
        config.cuda_graph_strategy = (
            strategies.WHOLE_GRAPH_CAPTURE if own_graphs else strategies.DISABLED
        )
        self.has_own_graphs = True
        if hasattr(config, "create_runtime_cache"):
            self.cache = RuntimeCache(config, cache_path)
        return config

    def set_batch(self, count: int) -> tuple[int, ...]:
        """Prepare for `count` pictures and return the output's shape."""
        name = self.input.name
        if self.input.shape[0] < 0 and not self.context.set_input_shape(
            name, (count, *self.input.shape[1:])
        ):
            raise ModelError(
                f"The engine takes no batch of {count}: {newest_errors(self._trt)}.",
                next_command="edgekit inspect ENGINE",
            )
        return tuple(self.context.get_tensor_shape(self.output.name))

    def set_addresses(self, *, source: int, result: int, activation_map: int = 0) -> None:
        """Say where the input lies and where the outputs go, all on the GPU."""
        self.context.set_tensor_address(self.input.name, source)
        self.context.set_tensor_address(self.output.name, result)
        if self.activation_map is not None:
            self.context.set_tensor_address(self.activation_map.name, activation_map)

    def enqueue(self, stream: int) -> None:
        """Enqueue one inference. Raises MachineError with TensorRT's own words."""
        if not self.context.execute_async_v3(stream):
            raise MachineError(
                f"TensorRT did not run the engine: {newest_errors(self._trt)}.",
                next_command="edgekit doctor",
            )

    def close(self) -> None:
        """Free context, engine and runtime, in that order."""
        if self.cache is not None:
            self.cache.save()
        del self.context, self.cache, self._engine, self._runtime


def load_engine(trt: Any, engine: Engine, *, gpu: str, sm: int, own_graphs: bool) -> LoadedEngine:
    """Deserialise `engine` in the current CUDA context of `gpu`.

    Raises ForeignEngineError when it was built for something else, ModelError when it is not a
    classifier with one input and one output, beside which there may be an activation map.
    """
    newest_errors(trt)  # whatever was said before is not about this engine
    runtime = trt.Runtime(process_logger(trt))
    if "VERSION_COMPATIBLE" in engine.manifest.flags and hasattr(
        runtime, "engine_host_code_allowed"
    ):
        # Such an engine carries its own runtime as host code. Its digest was checked.
        runtime.engine_host_code_allowed = True
    loaded = runtime.deserialize_cuda_engine(engine.path.read_bytes())
    if loaded is None:
        raise foreign_engine(
            engine,
            gpu=gpu,
            sm=sm,
            runtime=f"{trt.__name__} {trt.__version__}",
            said=newest_errors(trt),
        )
    return LoadedEngine(
        trt, runtime, loaded, own_graphs=own_graphs, cache_path=runtime_cache_path(engine.path)
    )


def runtime_cache_path(engine: Path) -> Path:
    """Return where the compiled kernels of `engine` are kept: beside it."""
    return engine.with_name(engine.name + ".runtime-cache")


def _tensors(trt: Any, engine: Any) -> tuple[TensorSpec, TensorSpec, TensorSpec | None]:
    """Return input, logits and, where there is one, activation map."""
    types = {
        trt.DataType.FLOAT: np.float32,
        trt.DataType.HALF: np.float16,
        trt.DataType.INT8: np.int8,
    }
    inputs: list[TensorSpec] = []
    outputs: list[TensorSpec] = []
    for index in range(engine.num_io_tensors):
        name = engine.get_tensor_name(index)
        kind = engine.get_tensor_dtype(name)
        is_input = engine.get_tensor_mode(name) == trt.TensorIOMode.INPUT
        shape = tuple(engine.get_tensor_shape(name))
        if kind not in types or len(shape) < 2 or min(shape[1:]) < 1:
            raise _not_a_classifier(f"its tensor {name!r} is {kind} {shape}")
        (inputs if is_input else outputs).append(TensorSpec(name, shape, types[kind]))
    logits = [each for each in outputs if each.name != ACTIVATION_MAP]
    if len(inputs) != 1 or len(logits) != 1:
        raise _not_a_classifier(f"it has {len(inputs)} inputs and {len(outputs)} outputs")
    return inputs[0], logits[0], next((each for each in outputs if each not in logits), None)


def _batch_range(engine: Any, source: TensorSpec) -> tuple[int, int]:
    """Return the smallest and the largest batch of the first profile."""
    if source.shape[0] > 0:
        return source.shape[0], source.shape[0]
    smallest, _, largest = engine.get_tensor_profile_shape(source.name, 0)
    return int(smallest[0]), int(largest[0])


def _not_a_classifier(what: str) -> ModelError:
    return ModelError(
        f"This engine is not a classifier with one picture in and logits out: {what}.",
        next_command="edgekit inspect ENGINE",
    )
