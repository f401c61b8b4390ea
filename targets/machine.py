"""The machine that is asked: its files, its commands and its architecture. Tests pass another."""

from __future__ import annotations

import platform
import re
import subprocess
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

__all__ = ["Machine", "Runner", "number_from_text", "run_command"]

Runner = Callable[[Sequence[str]], str | None]


def run_command(arguments: Sequence[str]) -> str | None:
    """Return what a command prints; None if it is missing, fails or takes more than 5 seconds."""
    try:
        done = subprocess.run(
            list(arguments),
            capture_output=True,
            check=True,
            encoding="utf-8",
            errors="replace",
            stdin=subprocess.DEVNULL,
            timeout=5.0,
        )
    except (OSError, subprocess.SubprocessError):
        return None  # the question has no answer on this machine, which is an answer
    return done.stdout


def number_from_text(text: str | None) -> float | None:
    """Return the number that `text` starts with; None for "[N/A]", "[Not Supported]" or None."""
    match = re.match(r"\s*(-?\d+(?:\.\d+)?)", text or "")
    return float(match[1]) if match else None


@dataclass(frozen=True)
class Machine:
    """Where files are read (below `root`) and how commands are run."""

    root: Path = Path("/")
    run: Runner = run_command
    arch: str = field(default_factory=platform.machine)

    def text(self, path: str) -> str | None:
        """Return a file's text without trailing NULs and blanks; None if it cannot be read."""
        try:
            content = (self.root / path).read_bytes()
        except OSError:  # absent, or a sensor that is switched off
            return None
        return content.decode("utf-8", errors="replace").strip("\0 \n")

    def number(self, path: str) -> float | None:
        """Return the number a file starts with; None if there is none."""
        return number_from_text(self.text(path))

    def paths(self, pattern: str) -> list[str]:
        """Return the paths that match, relative to the root, in order."""
        return sorted(str(path.relative_to(self.root)) for path in self.root.glob(pattern))
