"""What one session keeps on the GPU, and the order in which a stream works through it.

Upload, preprocessing kernel (frames), engine, download: one stream, an event after every stage.
Every method needs the session's CUDA context to be current.
"""

from __future__ import annotations

from contextlib import ExitStack
from typing import Any

import numpy as np
from numpy.typing import NDArray

from toolkit.errors import EdgekitError, ModelError
from toolkit.preprocess import Preprocess
from toolkit.runtime.cuda.engine import LoadedEngine
from toolkit.runtime.cuda.frame_plan import why_not_fused
from toolkit.runtime.cuda.frames import FrameInput
from toolkit.runtime.cuda.graphs import GraphRunner
from toolkit.runtime.cuda.libcuda import LibCuda
from toolkit.runtime.cuda.memory import Buffer, Memory

__all__ = ["Pipeline"]

_STAGES = ("h2d", "preprocess", "compute", "d2h")
_NON_BLOCKING = 1  # CU_STREAM_NON_BLOCKING: no waiting for work on the default stream


class Pipeline:
    """Owns stream, buffers, events and graph; `loaded` is the caller's and must outlive it.

    `step` is what the value 1 of an INT8 input stands for.
    """

    def __init__(
        self,
        driver: Any,
        libcuda: LibCuda | None,
        loaded: LoadedEngine,
        *,
        sm: int,
        mapped: bool,
        spin: bool,
        step: float,
    ) -> None:
        self._driver = driver
        self._loaded = loaded
        self._sm = sm
        self._mapped = mapped
        self._step = step
        self._stream = driver.Stream(_NON_BLOCKING)
        self._handle = int(self._stream.handle)
        self._memory = Memory(driver, self._stream, mapped=mapped)
        self._closing = ExitStack()
        self._closing.callback(self._memory.free)
        try:
            self._allocate()
        except BaseException:
            self._closing.close()
            raise
        self.graphs = GraphRunner(libcuda, self._handle)
        self._closing.callback(self.graphs.close)
        self._start_event = driver.Event()
        self._events = {stage: driver.Event() for stage in _STAGES}
        if not spin:  # the one event that is waited for: the CPU sleeps meanwhile
            self._events["d2h"] = driver.Event(driver.event_flags.BLOCKING_SYNC)
        self._marks: list[str] = []
        self._frames: FrameInput | None = None
        self._why_no_kernel = ""
        self._cache_is_kept = False

    def _allocate(self) -> None:
        source, result = self._loaded.input, self._loaded.output
        largest = self._loaded.batch[1]
        shape = self._loaded.set_batch(largest)
        if shape[0] != largest or min(shape) < 1:
            raise ModelError(
                f"The engine answers a batch of {largest} with logits of {shape}.",
                next_command="edgekit inspect ENGINE",
            )
        self._count = largest
        # The first convolution reads each input value many times: never from mapped memory.
        self._source = self._memory.buffer((largest, *source.shape[1:]), source.dtype, map_it=False)
        classes = int(np.prod(shape[1:]))
        self._result = self._memory.buffer((largest, classes), result.dtype)
        self._map: Buffer | None = None
        if mapped := self._loaded.activation_map:
            self._map = self._memory.buffer((largest, *mapped.shape[1:]), mapped.dtype)
        self._loaded.set_addresses(
            source=self._source.address,
            result=self._result.address,
            activation_map=self._map.address if self._map else 0,
        )

    def stage_ms(self) -> dict[str, float]:
        """Return the milliseconds of each stage of the last inference."""
        before, times = self._start_event, {}
        for stage in self._marks:
            times[stage] = float(self._events[stage].time_since(before))
            before = self._events[stage]
        return times

    def infer(self, batch: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return the logits of a batch that fits the engine."""
        count = len(batch)
        staged = self._source.host[:count]
        if staged.dtype == np.int8:
            np.copyto(staged, np.clip(np.rint(batch / self._step), -128, 127), casting="unsafe")
        else:
            np.copyto(staged, batch, casting="same_kind")
        self._begin()
        self._memory.upload(self._source, 0, count)
        self._mark("h2d")
        return self._answer(count)

    def infer_frame(self, frame: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Return the logits of a frame for which `prepare_frames` returned ""."""
        assert self._frames is not None  # `prepare_frames` made it
        self._begin()
        self._frames.upload(frame)
        self._mark("h2d")
        self._frames.launch()
        self._mark("preprocess")
        return self._answer(1)

    def newest_maps(self, count: int) -> NDArray[np.float32]:
        """Return the activation maps of the last `count` pictures, of an engine that gives them."""
        assert self._map is not None  # the session compares the engine with its contract
        return self._map.host[:count].astype(np.float32)

    def prepare_frames(self, recipe: Preprocess, width: int, height: int) -> str:
        """Get ready for frames of this size, and return why that cannot be, or ""."""
        reason = why_not_fused(recipe, width, height) or self._why_no_kernel
        if reason or self._frames is not None:
            return reason
        try:
            self._frames = FrameInput(
                self._driver,
                self._stream,
                recipe,
                sm=self._sm,
                mapped=self._mapped,
                out=self._source.address,
                dtype=self._loaded.input.dtype,
                step=self._step,
            )
        except (EdgekitError, self._driver.Error) as error:  # old GPU without nvcc, old driver
            self._why_no_kernel = f"the kernel does not load ({str(error).rstrip('.')})"
            return self._why_no_kernel
        self._closing.callback(self._frames.close)
        return ""

    def _begin(self) -> None:
        self._marks.clear()
        self._start_event.record(self._stream)

    def _mark(self, stage: str) -> None:
        self._events[stage].record(self._stream)
        self._marks.append(stage)

    def _answer(self, count: int) -> NDArray[np.float32]:
        """Run the engine on what lies in its input, and wait for the logits."""
        if count != self._count:
            self._loaded.set_batch(count)
            self._count = count
        self.graphs.run(count, lambda: self._loaded.enqueue(self._handle))
        self._mark("compute")
        self._memory.download(self._result, count)
        if self._map is not None:  # some hundred bytes a picture
            self._memory.download(self._map, count)
        self._mark("d2h")
        self._events["d2h"].synchronize()
        if not self._cache_is_kept and self._loaded.cache is not None:
            self._loaded.cache.save()  # a live loop may be killed: do not wait for its end
            self._cache_is_kept = True
        return self._result.host[:count].astype(np.float32)

    def close(self) -> None:
        """Wait for the GPU, then free everything, newest first."""
        try:
            self._stream.synchronize()
        finally:
            self._closing.close()
            del self._events, self._start_event, self._stream
