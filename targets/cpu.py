"""Which CPU this is, and the widest integer instructions ONNX Runtime can use on it."""

from __future__ import annotations

import re
from dataclasses import dataclass

from targets.machine import Machine

__all__ = ["Cpu", "isa", "read_cpu"]

# ONNX Runtime picks its integer kernels by these; the first one present names the whole.
_X86_ISAS = (
    ("avx512_vnni", "avx512-vnni"),
    ("avx_vnni", "avx2-vnni"),
    ("avx512bw", "avx512"),
    ("avx2", "avx2"),
    ("avx", "avx"),
    ("sse2", "sse2"),
)
_ARM_ISAS = (("asimddp", "neon-dotprod"), ("asimd", "neon"), ("neon", "neon"))
# "CPU part" of /proc/cpuinfo on ARM, which often has no model name.
_ARM_PARTS = {
    ("0x41", "0xd03"): "ARM Cortex-A53",
    ("0x41", "0xd07"): "ARM Cortex-A57",
    ("0x41", "0xd08"): "ARM Cortex-A72",
    ("0x41", "0xd0b"): "ARM Cortex-A76",
    ("0x41", "0xd0c"): "ARM Neoverse N1",
    ("0x41", "0xd42"): "ARM Cortex-A78AE",
    ("0x41", "0xd4f"): "ARM Neoverse V2",
    ("0x41", "0xd83"): "ARM Neoverse V3AE",
    ("0x4e", "0x004"): "NVIDIA Carmel",
}


@dataclass(frozen=True)
class Cpu:
    """The processor, as far as it can be told."""

    arch: str
    """"x86_64", "arm64", or whatever else the machine says."""
    model: str | None
    isa: str
    """Such as "avx2", "avx512-vnni", "neon-dotprod"; "unknown" where it cannot be read."""
    cores: int | None
    mhz: float | None


def isa(machine: Machine | None = None) -> str:
    """Return the instruction set cpu engines are built for: "avx2", "avx512-vnni", "neon", ..."""
    return read_cpu(machine or Machine()).isa


def read_cpu(machine: Machine) -> Cpu:
    """Return what /proc/cpuinfo says, or sysctl where there is no such file (macOS)."""
    arch = {"amd64": "x86_64", "aarch64": "arm64"}.get(machine.arch.lower(), machine.arch.lower())
    cpuinfo = machine.text("proc/cpuinfo")
    if cpuinfo is None:
        return _mac_cpu(machine, arch)
    values = re.findall(r"^([^:\n]+?)\s*:[ \t]*(.*)$", cpuinfo, re.MULTILINE)
    first: dict[str, str] = dict(reversed(values))  # a name's first line wins
    flags = set(first.get("flags", first.get("Features", "")).split())
    part = (first.get("CPU implementer", ""), first.get("CPU part", ""))
    clocks = [float(value) for name, value in values if name == "cpu MHz"]
    return Cpu(
        arch=arch,
        model=_ARM_PARTS.get(part) or first.get("model name") or first.get("Model") or None,
        isa=_isa_from_flags(arch, flags),
        cores=sum(name == "processor" for name, _ in values) or None,
        mhz=sum(clocks) / len(clocks) if clocks else None,
    )


def _isa_from_flags(arch: str, flags: set[str]) -> str:
    table = _X86_ISAS if arch == "x86_64" else _ARM_ISAS if arch == "arm64" else ()
    return next((name for flag, name in table if flag in flags), "unknown")


def _mac_cpu(machine: Machine, arch: str) -> Cpu:
    def ask(name: str) -> str:
        return (machine.run(["sysctl", "-n", name]) or "").strip()

    if arch == "arm64":
        flags = {"asimddp" if ask("hw.optional.arm.FEAT_DotProd") == "1" else "asimd"}
    else:
        words = f"{ask('machdep.cpu.features')} {ask('machdep.cpu.leaf7_features')}"
        flags = set(words.lower().replace("avx1.0", "avx").split())
    model = ask("machdep.cpu.brand_string")
    cores = ask("hw.ncpu")
    return Cpu(
        arch=arch,
        model=model or None,
        isa=_isa_from_flags(arch, flags) if model else "unknown",
        cores=int(cores) if cores.isdigit() else None,
        mhz=None,
    )
