"""Make one row of the comparison: a process that quantizes, measured, and one that scores.

Imports nothing heavy: on Linux a child's peak memory starts at the size of its parent.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from benchmarks.ptq_peers.combinations import Combination
from benchmarks.ptq_peers.environments import NotInstalledError, python_of

__all__ = ["Places", "make_row"]

_ROOT = Path(__file__).resolve().parents[2]
_MEMORY = ("MemoryError", "bad_alloc", "Unable to allocate", "Failed to allocate memory")


@dataclass(frozen=True)
class Places:
    """Where the inputs lie, where files may be written, and what a tool may use."""

    model: Path
    train: Path
    val: Path
    peers: Path
    work: Path
    memory_gib: float
    threads: int
    rtx: bool = True


@dataclass(frozen=True)
class _Process:
    said: str
    errors: Path
    status: int
    seconds: float
    peak_mib: float


def make_row(combination: Combination, places: Places) -> dict[str, Any]:
    """Return the row of `combination`; one that cannot be made has "failed" with the reason."""
    row: dict[str, Any] = {
        "key": combination.key,
        "tool": combination.tool,
        "setting": combination.setting,
        "measured_at": datetime.now(timezone.utc).isoformat(timespec="seconds"),
        "load_1min_before": os.getloadavg()[0],
    }
    out = places.work / f"{combination.key.replace('/', '.')}.onnx"
    try:
        python = python_of(combination.tool, places.peers)
    except NotInstalledError as reason:
        return {**row, "failed": str(reason)}
    made = _run(_worker(python, combination, places, out), out.with_suffix(".log"))
    row |= {"process_seconds": made.seconds, "peak_rss_mib": made.peak_mib}
    if made.status:
        return {**row, "failed": _reason(made, places.memory_gib)}
    report = json.loads(made.said.splitlines()[-1])
    scored = _run(_scorer(report, places, out), out.with_suffix(".scoring.log"))
    if scored.status:
        return {**row, **report, "failed": f"not scored: {_last_line(scored)}"}
    return {**row, **report, **json.loads(scored.said.splitlines()[-1])}


def _worker(python: Path, combination: Combination, places: Places, out: Path) -> list[str]:
    return [
        *(str(python), "-m", "benchmarks.ptq_peers.worker", combination.tool),
        *("--model", str(places.model), "--images", str(places.train), "--out", str(out)),
        *("--setting", combination.setting, "--scheme", combination.scheme),
        *("--samples", str(combination.samples), "--memory-gib", str(places.memory_gib)),
    ]


def _scorer(report: dict[str, Any], places: Places, made: Path) -> list[str]:
    return [
        *(sys.executable, "-m", "benchmarks.ptq_peers.scoring", "--model", str(places.model)),
        *("--made", str(made), "--calibrated-on", str(places.train)),
        *("--images", str(places.val), "--samples", str(report["samples"])),
        *("--scheme", str(report["scheme"]), "--threads", str(places.threads)),
        *(() if places.rtx else ("--no-rtx",)),
    ]


def _run(command: list[str], errors: Path) -> _Process:
    """Return what a process said, and the time and peak resident memory of it and its children."""
    said = errors.with_suffix(".out")
    environment = {**os.environ, "PYTHONPATH": str(_ROOT)}
    started = time.perf_counter()
    with errors.open("wb") as log, said.open("wb") as answer:
        child = subprocess.Popen(
            command, stdout=answer, stderr=log, env=environment, cwd=errors.parent
        )
        _pid, status, usage = os.wait4(child.pid, 0)
    child.returncode = os.waitstatus_to_exitcode(status)
    return _Process(
        said=said.read_text(encoding="utf-8", errors="replace"),
        errors=errors,
        status=child.returncode,
        seconds=time.perf_counter() - started,
        peak_mib=usage.ru_maxrss / 1024,
    )


def _reason(process: _Process, memory_gib: float) -> str:
    said = process.errors.read_text(encoding="utf-8", errors="replace")
    if process.status == -9 or any(word in said for word in _MEMORY):
        return f"needs more than the {memory_gib:g} GiB of memory it may use"
    return _last_line(process)


def _last_line(process: _Process) -> str:
    said = process.errors.read_text(encoding="utf-8", errors="replace").split("\n")
    lines = [" ".join(line.split()) for line in said if line.strip()]
    return lines[-1] if lines else f"exit status {process.status}"
