"""Where the energy of this machine can be read: whole module, GPU board or processor."""

from __future__ import annotations

from targets.machine import Machine
from targets.power.ina3221 import find_ina3221
from targets.power.rapl import find_rapl
from targets.power.source import EnergySource
from targets.power.streamed import find_nvidia_smi, find_tegrastats

__all__ = ["EnergySource", "find_energy_source"]


def find_energy_source(machine: Machine | None = None, *, on_gpu: bool) -> EnergySource | str:
    """Return the source for what runs on the GPU or the CPU, or why none can be read.

    On a Jetson both are on one module: its monitors, else tegrastats. Elsewhere the GPU's own
    reading (NVML, through nvidia-smi) for what runs there, and RAPL for the processor: never the
    idle one of the two.
    """
    machine = machine or Machine()
    compatible = machine.text("proc/device-tree/compatible") or ""
    if "tegra" in compatible:
        tried: list[EnergySource | str] = [find_ina3221(machine)]
        if isinstance(tried[0], str):
            tried.append(find_tegrastats(machine))
    else:
        tried = [find_nvidia_smi(machine) if on_gpu else find_rapl(machine.root)]
    found = tried[-1]
    if isinstance(found, str):
        return "; ".join(each for each in tried if isinstance(each, str))
    return found
