"""The state of a machine while something is measured: what stands under every number.

Whatever cannot be read is None, never 0.
"""

from __future__ import annotations

import importlib.metadata
import os
import platform
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timezone
from pathlib import Path

from targets.cpu import read_cpu
from targets.detect import jetpack_here, l4t_here
from targets.machine import Machine, Runner, run_command
from targets.nvidia_smi import query_gpus
from targets.versions import text_from_version

__all__ = ["PACKAGES", "Conditions", "advice", "one_line", "read_conditions"]

PACKAGES = ("onnxruntime", "tensorrt", "tensorrt-rtx", "numpy")
# Sensors that are no temperature of the processor: NVIDIA's PMIC die always says 100 C.
_NO_SENSORS = ("pmic", "tboard", "tdiode", "bat", "iwlwifi")


@dataclass(frozen=True)
class Conditions:
    """What the machine was, how it was set and how it was doing, at one moment."""

    taken_at: str
    """UTC, ISO 8601."""
    machine: str | None
    """The board or the computer, as its firmware names it."""
    arch: str
    os: str | None
    kernel: str | None
    python: str
    cpu_model: str | None
    isa: str
    cores: int | None
    core_limit: float | None
    """CPUs this process may use: affinity and container quota; None if neither limits it."""
    governor: str | None
    cpu_mhz: float | None
    """The mean over the cores, now."""
    temperature_c: float | None
    """The hottest sensor of processor and board."""
    throttled: bool | None
    """Whether heat or power holds clocks down now."""
    throttle_events: int | None
    """Counted since boot: compare before and after."""
    power_mode: str | None
    """nvpmodel's name for it, "15W", "MAXN_SUPER"."""
    clocks_locked: bool | None
    """Whether CPU and GPU of a Jetson are held at one clock (jetson_clocks)."""
    memory_mib: int | None
    memory_available_mib: int | None
    load_1min: float | None
    jetpack: str | None
    l4t: str | None
    gpu: str | None
    driver: str | None
    gpu_memory_mib: float | None
    gpu_mhz: float | None
    gpu_temperature_c: float | None
    gpu_power_w: float | None
    gpu_throttled: bool | None
    versions: Mapping[str, str | None] = field(hash=False)
    """Installed packages; None for one that is not."""


def read_conditions(
    *,
    root: Path = Path("/"),
    run: Runner = run_command,
    arch: str | None = None,
    packages: Sequence[str] = PACKAGES,
    now: datetime | None = None,
) -> Conditions:
    """Return the conditions of this machine, or of the one that `root`, `run` and `arch` stand for.

    `packages` and the Python version are always those of the process that asks.
    """
    machine = Machine(root, run, arch or platform.machine())
    cpu = read_cpu(machine)
    gpu = next(iter(query_gpus(run)), None)
    tegra = "tegra" in (machine.text("proc/device-tree/compatible") or "")
    l4t = l4t_here(machine)
    return Conditions(
        taken_at=(now or datetime.now(timezone.utc)).isoformat(timespec="seconds"),
        machine=_machine_name(machine),
        arch=cpu.arch,
        os=_os_name(machine),
        kernel=machine.text("proc/sys/kernel/osrelease") or platform.release() or None,
        python=platform.python_version(),
        cpu_model=cpu.model,
        isa=cpu.isa,
        cores=cpu.cores,
        core_limit=_core_limit(machine, cpu.cores),
        governor=machine.text("sys/devices/system/cpu/cpu0/cpufreq/scaling_governor"),
        cpu_mhz=_cpu_mhz(machine) or cpu.mhz,
        temperature_c=_temperature_c(machine),
        throttled=_throttled(machine),
        throttle_events=_throttle_events(machine),
        power_mode=_power_mode(machine) if tegra else None,
        clocks_locked=_clocks_locked(machine) if tegra else None,
        memory_mib=_meminfo_mib(machine, "MemTotal"),
        memory_available_mib=_meminfo_mib(machine, "MemAvailable"),
        load_1min=machine.number("proc/loadavg"),
        jetpack=jetpack_here(machine) if tegra else None,
        l4t=text_from_version(l4t) if l4t else None,
        gpu=gpu.name if gpu else None,
        driver=gpu.driver if gpu else None,
        gpu_memory_mib=gpu.memory_mib if gpu else None,
        gpu_mhz=gpu.sm_mhz if gpu else _tegra_gpu_mhz(machine),
        gpu_temperature_c=gpu.temperature_c if gpu else None,
        gpu_power_w=gpu.power_w if gpu else None,
        gpu_throttled=gpu.throttled if gpu else None,
        versions={name: _installed(name, machine if tegra else None) for name in packages},
    )


def one_line(conditions: Conditions) -> str:
    """Return the conditions as the line that stands under a table; it says what is unknown."""
    c = conditions
    unknown = []
    parts = [c.machine if c.jetpack and c.machine else c.gpu or c.cpu_model or c.arch]
    if not c.gpu and not c.jetpack:
        limit = f" ({c.core_limit:g} usable)" if c.core_limit is not None else ""
        parts.append(f"{c.cores or '?'} cores{limit}")
        parts.append(c.isa)
        parts.append(f"governor {c.governor}") if c.governor else unknown.append("governor")
    if c.jetpack:
        parts.append(c.power_mode) if c.power_mode else unknown.append("power mode")
        if c.clocks_locked is None:
            unknown.append("clocks")
        else:
            parts.append("clocks locked" if c.clocks_locked else "clocks not locked")
        parts.append(f"JetPack {c.jetpack}")
    mhz = c.gpu_mhz if c.gpu or c.jetpack else c.cpu_mhz
    if mhz is not None:
        parts.append(f"{mhz:.0f} MHz")
    heat = c.gpu_temperature_c if c.gpu_temperature_c is not None else c.temperature_c
    parts.append(f"{heat:.0f} C") if heat is not None else unknown.append("temperature")
    if c.throttled or c.gpu_throttled:
        parts.append("THROTTLED")
    if c.load_1min is not None:
        parts.append(f"load {c.load_1min:.1f}")
    if c.driver:
        parts.append(f"driver {c.driver}")
    parts += [f"{name} {version}" for name, version in c.versions.items() if version]
    if unknown:
        parts.append(f"unknown: {', '.join(unknown)}")
    return ", ".join(part for part in parts if part)


def advice(conditions: Conditions) -> str | None:
    """Return what to do before comparing with other measurements; None if nothing is known."""
    c = conditions
    if c.throttled or c.gpu_throttled:
        return "it is throttled: let it cool, or raise the power limit, and repeat"
    if c.clocks_locked is False:
        return "run `sudo jetson_clocks` and repeat before comparing"
    if c.governor in ("powersave", "ondemand", "schedutil", "conservative") and not c.gpu:
        return f"the governor is {c.governor}: `sudo cpupower frequency-set -g performance`"
    if c.load_1min is not None and c.load_1min > 0.5 * (c.core_limit or c.cores or 1):
        return f"the load is {c.load_1min:.1f}: something else is running, compare ratios only"
    return None


def _machine_name(machine: Machine) -> str | None:
    model = machine.text("proc/device-tree/model")
    if model:
        return model
    vendor = machine.text("sys/class/dmi/id/sys_vendor")
    product = machine.text("sys/class/dmi/id/product_name")
    return " ".join(part for part in (vendor, product) if part) or None


def _os_name(machine: Machine) -> str | None:
    match = re.search(
        r'^PRETTY_NAME="?([^"\n]+)', machine.text("etc/os-release") or "", re.MULTILINE
    )
    return match[1] if match else platform.system() or None


def _core_limit(machine: Machine, cores: int | None) -> float | None:
    limits = []
    quota = (machine.text("sys/fs/cgroup/cpu.max") or "").split()
    if len(quota) == 2 and quota[0].isdigit() and quota[1].isdigit():
        limits.append(int(quota[0]) / int(quota[1]))
    if machine.root == Path("/") and hasattr(os, "sched_getaffinity"):
        limits.append(float(len(os.sched_getaffinity(0))))
    smallest = min(limits, default=None)
    return smallest if smallest is not None and smallest < (cores or float("inf")) else None


def _cpu_mhz(machine: Machine) -> float | None:
    pattern = "sys/devices/system/cpu/cpu[0-9]*/cpufreq/scaling_cur_freq"
    clocks = [machine.number(path) for path in machine.paths(pattern)]
    known = [khz / 1000 for khz in clocks if khz]
    return sum(known) / len(known) if known else None


def _temperature_c(machine: Machine) -> float | None:
    values = []
    for zone in machine.paths("sys/class/thermal/thermal_zone*"):
        kind = (machine.text(f"{zone}/type") or "").lower()
        value = machine.number(f"{zone}/temp")
        if value is not None and value > 0 and not kind.startswith(_NO_SENSORS):
            values.append(value / 1000)
    return max(values, default=None)


def _throttled(machine: Machine) -> bool | None:
    """Read the throttle alerts that Jetsons have among their cooling devices."""
    states = [
        machine.number(f"{device}/cur_state")
        for device in machine.paths("sys/class/thermal/cooling_device*")
        if (machine.text(f"{device}/type") or "").endswith("throttle-alert")
    ]
    known = [state for state in states if state is not None]
    return any(known) if known else None


def _throttle_events(machine: Machine) -> int | None:
    """Add up the counters of x86 (thermal, per package) and of Jetson (over-current)."""
    paths = [
        *machine.paths("sys/devices/system/cpu/cpu0/thermal_throttle/package_throttle_count"),
        *machine.paths("sys/class/hwmon/hwmon*/oc*_event_cnt"),
    ]
    counts = [count for count in map(machine.number, paths) if count is not None]
    return int(sum(counts)) if counts else None


def _power_mode(machine: Machine) -> str | None:
    match = re.search(r"NV Power Mode:\s*(\S+)", machine.run(["nvpmodel", "-q"]) or "")
    return match[1] if match else None


def _clocks_locked(machine: Machine) -> bool | None:
    """Say whether every CPU and the GPU have one clock left to choose from."""
    pairs = [
        (machine.number(f"{path}/scaling_min_freq"), machine.number(f"{path}/scaling_max_freq"))
        for path in machine.paths("sys/devices/system/cpu/cpu[0-9]*/cpufreq")
    ]
    pairs += [
        (machine.number(f"{path}/min_freq"), machine.number(f"{path}/max_freq"))
        for path in _gpu_clocks(machine)
    ]
    known = [(low, high) for low, high in pairs if low is not None and high is not None]
    return all(low == high for low, high in known) if known else None


def _gpu_clocks(machine: Machine) -> list[str]:
    """Return the GPU among the devfreq devices: 17000000.gpu, 57000000.gpu, gpu-gpc-0, ..."""
    return [
        path
        for path in machine.paths("sys/class/devfreq/*")
        if re.search(r"(\.gpu|\.gv11b|\.gp10b|\.ga10b|/gpu-gpc-\d+)$", path)
    ]


def _tegra_gpu_mhz(machine: Machine) -> float | None:
    clocks = [machine.number(f"{path}/cur_freq") for path in _gpu_clocks(machine)]
    known = [hertz / 1e6 for hertz in clocks if hertz]
    return max(known, default=None)


def _meminfo_mib(machine: Machine, name: str) -> int | None:
    match = re.search(rf"^{name}:\s*(\d+) kB", machine.text("proc/meminfo") or "", re.MULTILINE)
    return int(match[1]) // 1024 if match else None


def _installed(package: str, jetson: Machine | None) -> str | None:
    """Return a package's version; TensorRT on a Jetson is a system package, as JetPack has it."""
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        if jetson is None or package != "tensorrt":
            return None
    shown = jetson.run(["dpkg-query", "--show", "--showformat=${Version}", "tensorrt"])
    return (shown or "").split("-")[0] or None
