"""What a command that failed says: one sentence, the next command to run, and the exit code."""

from __future__ import annotations

import errno
import json
import os
import tempfile
import traceback
from contextlib import suppress
from dataclasses import dataclass

from toolkit.cli.signals import INTERRUPTED, same_command
from toolkit.cli.streams import plain, write_result
from toolkit.shell import quoted

__all__ = ["Failure", "failure_from_error", "print_failure"]

_MACHINE = frozenset(
    getattr(errno, name)
    for name in (
        *("ENOSPC", "EDQUOT", "EACCES", "EPERM", "EROFS", "EIO", "ESTALE", "ENAMETOOLONG"),
        *("ELOOP", "EMFILE", "ENFILE", "ENOTCONN", "ETIMEDOUT", "EPIPE"),
    )
)
"""What the machine refuses: no bug of ours, wherever it was met."""


@dataclass(frozen=True)
class Failure:
    """One sentence, the next command to run, and the exit code."""

    message: str
    next_command: str
    code: int


def print_failure(failure: Failure, *, as_json: bool) -> None:
    """Print one message and the next command on stderr, or one JSON object on stdout."""
    if as_json:
        values = {"error": failure.message, "next": failure.next_command, "code": failure.code}
        write_result(json.dumps(values) + "\n")
        return
    from rich.console import Console

    with suppress(OSError):  # nobody reads stderr: the exit code must do
        console = Console(stderr=True, highlight=False, soft_wrap=True, emoji=False)
        console.print(plain(failure.message), style="bold red", markup=False)
        console.print(f"Next: {plain(failure.next_command)}", markup=False)


def failure_from_error(error: BaseException) -> Failure:
    """Return what to say about `error`, and the exit code that fits it."""
    if isinstance(error, KeyboardInterrupt):
        return Failure(INTERRUPTED, same_command(), 1)

    from calibration.errors import CalibrationError
    from targets.errors import TargetError
    from toolkit.errors import EdgekitError

    if isinstance(error, (EdgekitError, CalibrationError, TargetError)):
        return Failure(error.message, error.next_command, 1)
    if isinstance(error, MemoryError):
        return Failure("This machine has too little free memory for that.", "free -h", 1)
    if isinstance(error, OSError) and error.errno in _MACHINE:
        return _machine_failure(error)
    return Failure(
        f"Internal error, this is a bug in Edgekit: {type(error).__name__}: {error}",
        _keep_traceback(error),
        70,
    )


def _machine_failure(error: OSError) -> Failure:
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return Failure("The disk is full.", "df -h .", 1)
    reason = error.strerror or type(error).__name__
    if error.filename is None:
        return Failure(f"This machine refused: {reason}.", "edgekit doctor", 1)
    name = os.fsdecode(error.filename) if isinstance(error.filename, bytes) else error.filename
    return Failure(f"{name} cannot be used: {reason}.", f"ls -ld {quoted(str(name))}", 1)


def _keep_traceback(error: BaseException) -> str:
    """Write the traceback to a file and return the command that shows it."""
    try:
        with tempfile.NamedTemporaryFile(
            "w",
            prefix="edgekit-",
            suffix=".traceback.txt",
            delete=False,
            encoding="utf-8",
            errors="backslashreplace",
        ) as file:
            traceback.print_exception(error, file=file)
    except OSError:  # no room even for that
        return f"df -h {quoted(os.environ.get('TMPDIR', '/tmp'))}"
    return f"less {quoted(file.name)}"
