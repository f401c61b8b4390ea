"""Standard streams that can take anything: closed ones, full disks, readers that went away."""

from __future__ import annotations

import os
import sys
from contextlib import suppress
from io import TextIOWrapper

from toolkit.errors import MachineError

__all__ = ["plain", "prepare", "write_result"]


def prepare() -> None:
    """Make stdout and stderr usable: file names may hold characters that their encoding lacks."""
    while (handle := os.open(os.devnull, os.O_RDWR)) <= 2:
        pass  # a closed stream: the next file to be opened would get its number, and its output
    os.close(handle)
    sys.stdout = sys.stdout or _silent()
    sys.stderr = sys.stderr or _silent()
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper) and stream.errors == "strict":
            utf8 = stream.encoding.lower().replace("-", "") == "utf8"
            # A file name that is not UTF-8 leaves as the bytes it has on disk.
            stream.reconfigure(errors="surrogateescape" if utf8 else "backslashreplace")


def write_result(text: str) -> None:
    """Write to stdout now: at exit, Python would complain in its own words.

    A reader that went away (`| head -1`) had enough: that is no failure.
    """
    try:
        sys.stdout.write(text)
        sys.stdout.flush()
    except BrokenPipeError:
        _give_up_stdout()
    except OSError as error:
        _give_up_stdout()
        raise MachineError(
            f"The result cannot be written to standard output: {error.strerror or error}.",
            next_command="df -h .",
        ) from error


def plain(text: str, *, keep: str = "") -> str:
    """Return `text` with control characters as escapes: a file name must not steer a terminal."""
    return "".join(
        character if character.isprintable() or character in keep else _escape(character)
        for character in text
    )


def _escape(character: str) -> str:
    return character.encode("unicode_escape").decode("ascii")


def _silent() -> TextIOWrapper:
    return open(os.devnull, "w", encoding="utf-8")  # noqa: PTH123 - lives as long as we do


def _give_up_stdout() -> None:
    """Send what stdout still holds nowhere, or Python complains at exit; the rest to stderr."""
    with suppress(OSError, ValueError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    sys.stdout = sys.stderr
