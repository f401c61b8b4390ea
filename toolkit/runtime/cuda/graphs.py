"""Replay an engine's kernels as one CUDA graph, so that the CPU enqueues once, not per kernel."""

from __future__ import annotations

from collections.abc import Callable, Hashable

from toolkit.runtime.cuda.libcuda import GraphRefused, LibCuda

__all__ = ["GraphRunner"]


class GraphRunner:
    """Runs what it is given: plainly the first time, then captured, then replayed.

    TensorRT finishes its preparations for a shape in the first enqueue, so only the second one in
    a row with the same key (shapes and addresses) is captured; another key begins again. A driver
    or engine that refuses ends the attempts for good: `why_off` says why, and all runs are plain.
    """

    def __init__(self, libcuda: LibCuda | None, stream: int, *, why_off: str = "") -> None:
        self._libcuda = libcuda
        self._stream = stream
        self._warm: Hashable = None
        self._captured: Hashable = None
        self._graph = 0
        self.why_off = why_off if libcuda is not None else why_off or "not asked for"

    def run(self, key: Hashable, enqueue: Callable[[], None]) -> None:
        """Enqueue the work of `key`."""
        if self._libcuda is None or self.why_off:
            enqueue()
        elif key != self._warm:
            enqueue()
            self._warm = key
        else:
            try:
                if key != self._captured:
                    self.close()
                    self._graph = self._libcuda.capture(self._stream, enqueue)
                    self._captured = key
                self._libcuda.launch(self._graph, self._stream)
            except GraphRefused as refused:
                self.why_off = f"no CUDA graph ({refused})"
                self.close()
                enqueue()

    def close(self) -> None:
        """Free the graph."""
        if self._graph and self._libcuda is not None:
            self._libcuda.destroy(self._graph)
        self._graph, self._captured = 0, None
