"""One virtual environment per peer, made here with the pinned versions."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from benchmarks.ptq_peers.combinations import EDGEKIT, PINS

__all__ = ["NotInstalledError", "python_of"]

_STAMP = "pins.txt"


class NotInstalledError(Exception):
    """A peer's packages cannot be installed; says which and why."""


def python_of(tool: str, peers: Path) -> Path:
    """Return the interpreter that runs `tool`, after installing its packages under `peers`.

    Raises NotInstalledError with pip's last line.
    """
    if tool == EDGEKIT:
        return Path(sys.executable)
    folder, pins = peers / tool, PINS[tool]
    python, stamp = folder / "bin" / "python", folder / _STAMP
    wanted = "\n".join(pins)
    if stamp.is_file() and stamp.read_text(encoding="utf-8") == wanted:
        return python
    print(f"installing {', '.join(pins)} in {folder}", file=sys.stderr, flush=True)
    for command in (
        [sys.executable, "-m", "venv", "--without-pip", str(folder)],
        [sys.executable, "-m", "pip", "--python", str(python), "install", "--quiet", *pins],
    ):
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            said = done.stderr.strip().splitlines() or ["no message"]
            raise NotInstalledError(f"{pins[0]} cannot be installed: {said[-1]}")
    stamp.write_text(wanted, encoding="utf-8")
    return python
