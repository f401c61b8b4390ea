"""Listen to a TensorRT builder while it works: its log, its progress, and Ctrl-C or SIGTERM.

`trt` is the module of the bindings. Builders that have a progress monitor report their phases;
older ones only write log lines, and those are counted, so that no build is silent.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

from toolkit.progress import Progress, ProgressCallback
from toolkit.stop_signals import signals_to
from toolkit.tensorrt_log import heard_by, process_logger

__all__ = ["BuildWatch", "watch_build"]

_TOLD_EVERY_S = 0.2
_NOTE_CHARS = 80


class BuildWatch:
    """What was heard: `lines` of the log, `warnings` and `errors` among them.

    `logger` and `monitor` (None where the builder has none) are what the builder is given, inside
    `listening`.
    """

    def __init__(
        self, trt: Any, progress: ProgressCallback, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self.lines: list[str] = []
        self.warnings: list[str] = []
        self.errors: list[str] = []
        self.cancelled = False
        self.failure: BaseException | None = None
        self.has_monitor = hasattr(trt, "IProgressMonitor")
        self.logger = process_logger(trt)
        self._trt = trt
        self.monitor = _monitor(trt, self) if self.has_monitor else None
        self._progress = progress
        self._clock = clock
        self._told_s = float("-inf")

    def heard(self, severity: Any, message: str) -> None:
        """Keep a log line; where there is no monitor, tell that the builder is alive."""
        self.lines.append(message)
        if severity == self._trt.ILogger.WARNING:
            self.warnings.append(message)
        elif severity in (self._trt.ILogger.ERROR, self._trt.ILogger.INTERNAL_ERROR):
            self.errors.append(message)
        now_s = self._clock()
        if not self.has_monitor and now_s - self._told_s >= _TOLD_EVERY_S:
            self._told_s = now_s
            words = " ".join(message.split())[:_NOTE_CHARS]
            self.tell(Progress("build", len(self.lines), 0, words))

    def tell(self, what: Progress) -> None:
        """Report progress. What the callback raises is kept: it cannot cross the builder's C++."""
        try:
            self._progress(what)
        except BaseException as failure:
            self.failure = failure

    @property
    def goes_on(self) -> bool:
        """Return whether the builder may continue."""
        return not self.cancelled and self.failure is None

    @contextmanager
    def listening(self) -> Iterator[None]:
        """Hear the log, and make Ctrl-C, SIGTERM and a closed terminal a request to stop.

        When the block is done: KeyboardInterrupt after such a request, whatever the block raised,
        or what the callback raised.
        """
        try:
            with signals_to(self._cancel), heard_by(self._trt, self.heard):
                yield
        finally:
            if self.cancelled:
                raise KeyboardInterrupt
        if self.failure is not None:
            raise self.failure

    def _cancel(self, _signal: int, _frame: FrameType | None) -> None:
        self.cancelled = True


def watch_build(trt: Any, progress: ProgressCallback) -> BuildWatch:
    """Return what listens to one build."""
    return BuildWatch(trt, progress)


def _monitor(trt: Any, watch: BuildWatch) -> Any:
    class Monitor(trt.IProgressMonitor):  # type: ignore[misc]  # the bindings ship no types
        def __init__(self) -> None:
            trt.IProgressMonitor.__init__(self)
            self._steps: dict[str, int] = {}

        def phase_start(self, phase_name: str, parent_phase: str | None, num_steps: int) -> None:
            self._steps[phase_name] = num_steps

        def step_complete(self, phase_name: str, step: int) -> bool:
            steps = self._steps.get(phase_name, step + 1)
            watch.tell(Progress("build", step + 1, steps, phase_name))
            return watch.goes_on

        def phase_finish(self, phase_name: str) -> None:
            self._steps.pop(phase_name, None)

    return Monitor()
