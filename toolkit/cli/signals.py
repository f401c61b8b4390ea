"""Ctrl-C, SIGTERM and a closed terminal end a command at once: it cleans up, says so and exits 1.

KeyboardInterrupt is not raised. Half-way through importing NumPy, ONNX Runtime or PyTorch, or in a
Python function that C++ called, it was measured to be swallowed or to abort the interpreter.
"""

from __future__ import annotations

import json
import os
import re
import signal
import sys
from contextlib import suppress
from types import FrameType

from toolkit.atomic import remove_unfinished
from toolkit.shell import word

__all__ = ["INTERRUPTED", "catch", "ignore", "same_command", "stop", "stopping_signals"]

_PASSWORD = re.compile(r"(://[^/:@]*):.*@")
INTERRUPTED = "Interrupted: nothing half-written was left behind."


def catch() -> None:
    """Let each of the signals `stop` the process."""
    for number in stopping_signals():
        signal.signal(number, stop)


def ignore() -> None:
    """Ignore the signals from here on: all is done and said, and Python's own exit is short.

    A handler would not do: Python removes it half-way, and the exit code would be the signal's.
    """
    for number in stopping_signals():
        signal.signal(number, signal.SIG_IGN)


def stopping_signals() -> tuple[signal.Signals, ...]:
    """Return the signals that end a command: SIGHUP not where `nohup` made it ignored.

    SIGINT always: a shell makes it ignored for `edgekit live ... &`, but `kill -INT` is meant.
    """
    hangup = signal.getsignal(signal.SIGHUP) != signal.SIG_IGN
    return (signal.SIGINT, signal.SIGTERM, *([signal.SIGHUP] if hangup else []))


def same_command() -> str:
    """Return the command line that was given, to be given again; without passwords in URLs."""
    shown = (_PASSWORD.sub(r"\1:***@", argument) for argument in sys.argv[1:])
    return " ".join(["edgekit", *map(word, shown)])


def stop(_signal: int, _frame: FrameType | None) -> None:
    """Remove temporary files, print the message or one JSON object, and end the process."""
    ignore()
    remove_unfinished()
    if "--json" in sys.argv:
        values = {"error": INTERRUPTED, "next": same_command(), "code": 1}
        stream, text = 1, json.dumps(values)
    else:
        # A progress bar hides the cursor.
        shown = "\r\n\x1b[?25h" if sys.stderr is not None and sys.stderr.isatty() else ""
        stream, text = 2, f"{shown}{INTERRUPTED}\nNext: {same_command()}"
    with suppress(OSError):  # nobody may be reading any more
        # Not print(): it is not reentrant, and may be what was interrupted.
        os.write(stream, f"{text}\n".encode("utf-8", "surrogateescape"))
    os._exit(1)
