"""TensorRT keeps the first logger that a process gives it and ignores all later ones.

So there is one for each of its modules, for the life of the process, and it hands its lines to
whoever listens at the moment: a second build or session would otherwise hear nothing.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

__all__ = ["Listener", "heard_by", "newest_errors", "process_logger"]

Listener = Callable[[Any, str], None]
"""Is told the severity (a member of trt.ILogger) and the line."""

_KEPT = 8
_LOGGERS: dict[Any, Any] = {}


def process_logger(trt: Any) -> Any:
    """Return the logger to give to `trt`, the module `tensorrt` or `tensorrt_rtx`."""
    if trt.ILogger not in _LOGGERS:
        _LOGGERS[trt.ILogger] = _made_for(trt)
    return _LOGGERS[trt.ILogger]


def newest_errors(trt: Any) -> str:
    """Return what TensorRT complained about last, for a sentence; forget it."""
    errors = process_logger(trt).errors
    said = "; ".join(dict.fromkeys(errors)) or "it gave no reason"
    errors.clear()
    return said


@contextmanager
def heard_by(trt: Any, listener: Listener) -> Iterator[None]:
    """Hand the log's lines to `listener` for a block. One listener at a time: the last one."""
    logger = process_logger(trt)
    before, logger.listener = logger.listener, listener
    try:
        yield
    finally:
        logger.listener = before


def _made_for(trt: Any) -> Any:
    class ProcessLog(trt.ILogger):  # type: ignore[misc]  # the bindings ship no types
        def __init__(self) -> None:
            trt.ILogger.__init__(self)
            self.errors: deque[str] = deque(maxlen=_KEPT)
            self.listener: Listener | None = None

        def log(self, severity: Any, message: str) -> None:
            if severity in (trt.ILogger.INTERNAL_ERROR, trt.ILogger.ERROR):
                self.errors.append(" ".join(message.split()).rstrip("."))
            if self.listener is not None:
                self.listener(severity, message)

    return ProcessLog()
