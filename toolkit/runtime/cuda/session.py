"""A session on an NVIDIA GPU: what it was asked for is checked first, then one stream runs it.

Frames go to the GPU as they are and become network inputs in one kernel. The logits come back
whole: 1000 floats are 4 KB, and a kernel that picked the best five would take longer to launch
than these take to copy.
"""

from __future__ import annotations

from contextlib import ExitStack
from types import TracebackType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from toolkit.artifacts import Engine, OnnxModel
from toolkit.errors import InputError, MachineError, ModelError
from toolkit.frame_input import input_from_bgr
from toolkit.runtime.cuda.context import PrimaryContext
from toolkit.runtime.cuda.engine import LoadedEngine, load_engine
from toolkit.runtime.cuda.foreign import check_sm, where_built
from toolkit.runtime.cuda.frames import check_frame
from toolkit.runtime.cuda.libcuda import LibCuda, open_libcuda
from toolkit.runtime.cuda.pipeline import Pipeline
from toolkit.runtime.session import Mapped, check_batch, check_gives_map
from toolkit.shell import quoted

__all__ = ["CudaSession", "open_cuda_session"]


class CudaSession:
    """Runs one engine on one GPU, from the thread that made it. Use it in a `with`.

    `trt` is the module `tensorrt` or `tensorrt_rtx`, `driver` is `pycuda.driver`. With `spin` the
    CPU waits busily for the GPU, else it sleeps. `graphs` replays the engine as a CUDA graph.
    `input_step` is what the value 1 of an INT8 input stands for.
    Raises ForeignEngineError, ModelError, and MachineError with CUDA's own words.
    """

    def __init__(
        self,
        engine: Engine,
        *,
        trt: Any,
        driver: Any,
        libcuda: LibCuda,
        ordinal: int = 0,
        spin: bool = True,
        graphs: bool = True,
        input_step: float | None = None,
    ) -> None:
        self.contract = engine.contract
        self.engine_name = engine.path.name
        self.backend = engine.manifest.backend
        self._why_on_cpu = ""
        self._context = PrimaryContext(driver, libcuda, ordinal, user=self.engine_name)
        self._resources = ExitStack()
        self._pipeline: Pipeline | None = None
        gpu, sm = self._context.gpu, self._context.sm
        self._where_built = where_built(engine, gpu=gpu)
        try:
            check_sm(engine, gpu=gpu, sm=sm, runtime=f"{trt.__name__} {trt.__version__}")
            with self._context.current():
                self._loaded = load_engine(trt, engine, gpu=gpu, sm=sm, own_graphs=graphs)
                self._resources.callback(self._loaded.close)
                self._asks_for_graphs = graphs and not self._loaded.has_own_graphs
                self._pipeline = Pipeline(
                    driver,
                    libcuda if self._asks_for_graphs else None,
                    self._loaded,
                    sm=sm,
                    mapped=self._context.integrated,
                    spin=spin,
                    step=self._checked_step(self._loaded, input_step),
                )
                self._resources.callback(self._pipeline.close)
        except BaseException:
            self.close()
            raise

    def _checked_step(self, loaded: LoadedEngine, given: float | None) -> float:
        """Check the engine's input against the contract; return the step of an INT8 input."""
        if bool(self.contract.activation_map) != (loaded.activation_map is not None):
            said = "names one" if self.contract.activation_map else "names none"
            raise ModelError(
                f"{self.engine_name} and its contract disagree on an activation map: the contract "
                f"{said}.",
                next_command=f"edgekit inspect {quoted(self.engine_name)}",
            )
        expected = self.contract.input_shape[1:]
        if loaded.input.shape[1:] != expected:
            raise ModelError(
                f"{self.engine_name} takes pictures of {loaded.input.shape[1:]}, but its contract "
                f"says {expected}.",
                next_command=f"edgekit inspect {quoted(self.engine_name)}",
            )
        if np.dtype(loaded.input.dtype) != np.int8:
            return 1.0
        if given is None or not given > 0.0:
            raise ModelError(
                f"{self.engine_name} takes INT8 pictures, and nothing says what their steps stand "
                "for.",
                next_command="edgekit calibrate MODEL.onnx --images DIR",
            )
        return given

    @property
    def note(self) -> str:
        """Return what a reader of its figures must know, or ""."""
        notes = [self._where_built]
        if self._why_on_cpu:
            notes.append(f"frames are prepared on the CPU: {self._why_on_cpu}")
        if self._pipeline is not None and self._asks_for_graphs:
            notes.append(self._pipeline.graphs.why_off)
        if self._pipeline is not None and self._loaded.cache is not None:
            notes.append(self._loaded.cache.note)
        return "; ".join(note for note in notes if note)

    @property
    def last_stage_ms(self) -> dict[str, float]:
        """Return how long the stages of the last inference took on the GPU, by CUDA events.

        "h2d", "preprocess" (frames only), "compute", "d2h"; empty before the first inference.
        Waiting is part of it: a stage that the CPU feeds slowly takes longer.
        """
        with self._context.current():
            return self._open_pipeline().stage_ms()

    def infer(self, batch: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return the logits (N, classes) of a batch (N, C, H, W), in a new array.

        Raises InputError for a wrong shape, type or thread, MachineError when the GPU fails.
        """
        check_batch(batch, self.contract, engine_name=self.engine_name)
        with self._context.current():
            pipeline = self._open_pipeline()
            self._check_count(len(batch))
            return pipeline.infer(batch)

    def infer_with_map(self, batch: NDArray[np.float32]) -> Mapped:
        """Return logits and class activation maps. Raises InputError for an engine without maps."""
        check_gives_map(self.contract, engine_name=self.engine_name)
        return Mapped(self.infer(batch), self._newest_maps(len(batch)))

    def infer_frame_with_map(self, frame: NDArray[np.uint8]) -> Mapped:
        """Return what `infer_frame` does, with the class activation map (1, height, width)."""
        check_gives_map(self.contract, engine_name=self.engine_name)
        return Mapped(self.infer_frame(frame), self._newest_maps(1))

    def _newest_maps(self, count: int) -> NDArray[np.float32]:
        return self._open_pipeline().newest_maps(count)

    def infer_frame(self, frame: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Return the logits (1, classes) of a camera's BGR frame (H, W, 3), prepared on the GPU.

        What the kernel does not do (grey, padding) is done on the CPU, and `note` says so.
        Raises InputError for anything but such a frame, and what `infer` raises.
        """
        check_frame(frame, engine_name=self.engine_name)
        recipe = self.contract.preprocess
        with self._context.current():
            pipeline = self._open_pipeline()
            self._check_count(1)
            self._why_on_cpu = pipeline.prepare_frames(recipe, frame.shape[1], frame.shape[0])
            if not self._why_on_cpu:
                return pipeline.infer_frame(frame)
        return self.infer(input_from_bgr(recipe, frame)[None])

    def _open_pipeline(self) -> Pipeline:
        assert self._pipeline is not None  # the context refuses closed sessions first
        return self._pipeline

    def _check_count(self, count: int) -> None:
        smallest, largest = self._loaded.batch
        if not smallest <= count <= largest:
            allowed = str(smallest) if smallest == largest else f"{smallest} to {largest}"
            raise InputError(
                f"{self.engine_name} takes batches of {allowed}, got {count}.",
                next_command=f"edgekit inspect {quoted(self.engine_name)}",
            )

    def close(self) -> None:
        """Give everything back. Only the thread that opened the session can; twice is allowed."""
        if self._context.is_closed:
            return
        try:
            with self._context.current():
                self._pipeline = None
                self._resources.close()
        finally:
            self._context.close()

    def __enter__(self) -> CudaSession:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        try:
            self.close()
        except MachineError:
            if error is None:  # else the first failure is the one to report
                raise


def open_cuda_session(
    source: OnnxModel | Engine, *, trt: Any, driver: Any, spin: bool
) -> CudaSession:
    """Return a session of the first GPU. Raises InputError for a model that is no engine yet."""
    if not isinstance(source, Engine):
        raise InputError(
            f"{source.path} is a model: {trt.__name__} runs engines that were built from one.",
            next_command=f"edgekit build {quoted(source.path)} --target NAME",
        )
    return CudaSession(source, trt=trt, driver=driver, libcuda=open_libcuda(), spin=spin)
