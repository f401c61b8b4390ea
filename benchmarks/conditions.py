"""What every benchmark file carries: when, on what, with which versions, by which command."""

from __future__ import annotations

import json
import os
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any

from targets.conditions import advice, read_conditions
from toolkit.atomic import write_text

__all__ = ["RESULTS", "busy_s", "write_results"]

RESULTS = Path(__file__).parent / "results"


def busy_s() -> float:
    """Return the CPU seconds that everything on this machine has used since boot."""
    fields = Path("/proc/stat").read_text(encoding="ascii").split(maxsplit=9)[1:9]
    user, nice, system, _idle, _iowait, irq, softirq, steal = map(int, fields)
    return (user + nice + system + irq + softirq + steal) / os.sysconf("SC_CLK_TCK")


def write_results(out: Path, values: dict[str, Any]) -> None:
    """Write `values` with the conditions and the command that made them, and print where."""
    conditions = read_conditions()
    script = Path(sys.argv[0])
    name = script.parent.name if script.stem == "__main__" else script.stem
    record = {
        "command": " ".join(["python -m", f"benchmarks.{name}", *map(_portable, sys.argv[1:])]),
        "conditions": asdict(conditions),
        "advice": advice(conditions),
        **values,
    }
    write_text(out, json.dumps(record, indent=1) + "\n")
    print(out)


def _portable(argument: str) -> str:
    """Return an argument without the folders of this machine."""
    path = Path(argument)
    return f"{path.name.upper()}_DIR" if path.is_dir() else path.name if path.exists() else argument
