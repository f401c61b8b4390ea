"""One line of tegrastats, JetPack 4 to 7, as numbers; what a line does not say is absent."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

__all__ = ["Tegrastats", "tegrastats_from_line"]


@dataclass(frozen=True)
class Tegrastats:
    """What one line says. Rails and sensors carry the names of the board."""

    ram_used_mib: int
    ram_total_mib: int
    swap_used_mib: int | None
    swap_total_mib: int | None
    cpu_load_percent: tuple[int | None, ...]
    """One entry per core; None for a core that is off."""
    cpu_mhz: tuple[int | None, ...]
    gpu_load_percent: int | None
    gpu_mhz: tuple[int, ...]
    """One clock per graphics cluster; often empty where tegrastats runs without root."""
    memory_mhz: int | None
    temperatures_c: Mapping[str, float]
    power_mw: Mapping[str, int]
    """Power now, per rail."""
    average_power_mw: Mapping[str, int]
    """Power averaged since tegrastats started, per rail."""


def tegrastats_from_line(line: str) -> Tegrastats | None:
    """Read one line; None if it is not a line of tegrastats."""
    ram = re.search(r"\bRAM (\d+)/(\d+)MB", line)
    if ram is None:
        return None
    swap = re.search(r"\bSWAP (\d+)/(\d+)MB", line)
    gpu = re.search(r"\bGR3D_FREQ (?:(\d+)%)?(?:@\[?([\d,]+)\]?)?", line)
    memory = re.search(r"\bEMC_FREQ \d+%@(\d+)", line)
    loads, clocks = _cores(line)
    # Rails are "VDD_IN 5079mW/5079mW", without the unit before JetPack 4.5; TX1 and Nano say
    # POM_5V_IN. Power gated rails may read a little below zero.
    rails = re.findall(r"\b([A-Z][A-Z0-9_]*) (-?\d+)(?:mW)?/(-?\d+)(?:mW)?(?=\s|$)", line)
    return Tegrastats(
        ram_used_mib=int(ram[1]),
        ram_total_mib=int(ram[2]),
        swap_used_mib=int(swap[1]) if swap else None,
        swap_total_mib=int(swap[2]) if swap else None,
        cpu_load_percent=loads,
        cpu_mhz=clocks,
        gpu_load_percent=int(gpu[1]) if gpu and gpu[1] else None,
        gpu_mhz=tuple(int(mhz) for mhz in gpu[2].split(",") if mhz) if gpu and gpu[2] else (),
        memory_mhz=int(memory[1]) if memory else None,
        temperatures_c={
            name: float(value)
            for name, value in re.findall(r"\b(\w+)@(-?\d+(?:\.\d+)?)C\b", line)
            if float(value) > -256  # a sensor whose part is switched off
        },
        power_mw={name: int(now) for name, now, _ in rails},
        average_power_mw={name: int(average) for name, _, average in rails},
    )


def _cores(line: str) -> tuple[tuple[int | None, ...], tuple[int | None, ...]]:
    """Read "CPU [12%@1420,off,5%@1420]"; the old form is "CPU [12%,off,5%]@1420"."""
    cores = re.search(r"\bCPU \[([^\]]*)\](?:@(\d+))?", line, re.IGNORECASE)
    if cores is None:
        return (), ()
    loads: list[int | None] = []
    clocks: list[int | None] = []
    for core in cores[1].split(","):
        match = re.fullmatch(r"\s*(\d+)%(?:@(\d+))?\s*", core)
        shared = cores[2] if match else None
        loads.append(int(match[1]) if match else None)
        mhz = (match[2] if match else None) or shared
        clocks.append(int(mhz) if mhz else None)
    return tuple(loads), tuple(clocks)
