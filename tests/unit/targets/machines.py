"""Machines that are not here: their files and the output of their commands, in the real formats."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from targets.machine import Machine

ORIN_NANO_FILES = {
    "proc/device-tree/model": (
        "NVIDIA Jetson Orin Nano Engineering Reference Developer Kit Super\0"
    ),
    "proc/device-tree/compatible": (
        "nvidia,p3768-0000+p3767-0005-super\0nvidia,p3767-0005\0nvidia,tegra234\0"
    ),
    "etc/nv_tegra_release": (
        "# R36 (release), REVISION: 4.3, GCID: 38968081, BOARD: generic, EABI: aarch64, "
        "DATE: Wed Jan  8 01:49:37 UTC 2025\n# KERNEL_VARIANT: oot\n"
        "TARGET_USERSPACE_LIB_DIR=nvidia\n"
        "TARGET_USERSPACE_LIB_DIR_PATH=usr/lib/aarch64-linux-gnu/nvidia\n"
    ),
    "proc/meminfo": (
        "MemTotal:        7802664 kB\nMemFree:          201104 kB\nMemAvailable:    5211076 kB\n"
    ),
    "proc/cpuinfo": "".join(
        f"processor\t: {core}\nBogoMIPS\t: 62.50\n"
        "Features\t: fp asimd evtstrm aes pmull sha1 sha2 crc32 atomics fphp asimdhp cpuid "
        "asimdrdm lrcpc dcpop asimddp uscat ilrcpc flagm paca pacg\n"
        "CPU implementer\t: 0x41\nCPU architecture: 8\nCPU variant\t: 0x0\nCPU part\t: 0xd42\n"
        "CPU revision\t: 1\n\n"
        for core in range(6)
    ),
}


def x86_cpuinfo(flags: str, *, cores: int = 2, model: str = "AMD EPYC") -> str:
    """Return /proc/cpuinfo of an x86-64 machine."""
    return "".join(
        f"processor\t: {core}\nvendor_id\t: AuthenticAMD\ncpu family\t: 25\n"
        f"model name\t: {model}\nstepping\t: 1\ncpu MHz\t\t: {2500 + 100 * core}.000\n"
        f"cache size\t: 1024 KB\nflags\t\t: fpu vme sse sse2 ht syscall nx {flags}\n"
        "bugs\t\t: sysret_ss_attrs\n\n"
        for core in range(cores)
    )


def machine(
    root: Path,
    files: Mapping[str, str],
    *,
    commands: Mapping[str, str] | None = None,
    arch: str = "aarch64",
) -> Machine:
    """Return a machine with these files below `root`; other commands than these are not found."""
    for path, text in files.items():
        file = root / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text, encoding="utf-8")

    def run(arguments: Sequence[str]) -> str | None:
        return (commands or {}).get(" ".join(arguments))

    return Machine(root, run, arch)


def nvidia_smi(line: str) -> dict[str, str]:
    """Return what a driver of today answers to the newest query."""
    query = (
        "nvidia-smi --query-gpu=name,driver_version,memory.total,temperature.gpu,clocks.sm,"
        "power.draw,compute_cap,clocks_event_reasons.active --format=csv,noheader,nounits"
    )
    return {"nvidia-smi -L": "GPU 0: ...\n", query: f"{line}\n"}
