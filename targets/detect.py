"""Which row of the catalog is this machine? Device tree, nvidia-smi and /proc/cpuinfo say."""

from __future__ import annotations

import re

from targets.catalog import Target, all_targets, generic_target
from targets.cpu import isa, read_cpu
from targets.errors import TargetError
from targets.generations import jetpack_from_l4t
from targets.machine import Machine
from targets.nvidia_smi import Gpu, query_gpus
from targets.versions import Version, text_from_version

__all__ = ["detect", "detect_cpu", "isa", "jetpack_here", "l4t_here", "memory_gib"]

# Module numbers of /proc/device-tree/compatible, and the names boards had before; in this order.
MODULES = (
    ("p3767-0000", "jetson-orin-nx"),
    ("p3767-0001", "jetson-orin-nx"),
    ("p3767-0003", "jetson-orin-nano"),
    ("p3767-0004", "jetson-orin-nano"),
    ("p3767-0005", "jetson-orin-nano"),
    ("p3701", "jetson-agx-orin"),
    ("p3834-0000", "jetson-t4000"),
    ("p3834", "jetson-t5000"),
    ("p3668", "jetson-xavier-nx"),
    ("p2888", "jetson-agx-xavier"),
    ("p2972", "jetson-agx-xavier"),
    ("p3448", "jetson-nano"),
    ("p3450", "jetson-nano"),
    ("p3636", "jetson-tx2"),
    ("p3310", "jetson-tx2"),
    ("p3489", "jetson-tx2"),
    ("p2771", "jetson-tx2"),
    ("quill", "jetson-tx2"),
    ("p2180", "jetson-tx1"),
    ("p2371-2180", "jetson-tx1"),
)
# Names that nvidia-smi prints and that do not become the row's id by spelling alone.
GPU_NAMES = {
    "a100-80gb-pcie": "a100-pcie-80gb",
    "gb10": "dgx-spark-gb10",
    "h100-80gb-hbm3": "h100-sxm",
    "h200": "h200-sxm",
    "rtx-pro-6000-blackwell-workstation-edition": "rtx-pro-6000-blackwell",
}


def detect(machine: Machine | None = None) -> Target:
    """Return the row of this machine: its Jetson, else its first NVIDIA GPU, else its CPU.

    A GPU without a row gets a target of its SM (`sm89`). Raises TargetError for a Jetson or an
    architecture that the catalog does not know.
    """
    machine = machine or Machine()
    if "tegra" in (machine.text("proc/device-tree/compatible") or ""):
        return _detect_jetson(machine)
    gpus = query_gpus(machine.run)
    return _target_of_gpu(gpus[0]) if gpus else detect_cpu(machine)


def detect_cpu(machine: Machine | None = None) -> Target:
    """Return the cpu row of this machine: what `cpu` means here."""
    cpu = read_cpu(machine or Machine())
    vnni = cpu.isa.endswith("-vnni")
    wanted = {"x86_64": "cpu-x86-vnni" if vnni else "cpu-x86", "arm64": "cpu-arm64"}.get(cpu.arch)
    for target in all_targets():
        if target.id == wanted:
            return target
    raise TargetError(
        f"This machine's CPU is {cpu.arch or 'of an unknown kind'}; "
        "the catalog has x86-64 and 64-bit ARM.",
        next_command="edgekit targets",
    )


def memory_gib(machine: Machine) -> float | None:
    """Return the memory Linux sees, in GiB: a little less than what is soldered on."""
    match = re.search(r"^MemTotal:\s*(\d+) kB", machine.text("proc/meminfo") or "", re.MULTILINE)
    return int(match[1]) / 2**20 if match else None


def l4t_here(machine: Machine) -> Version | None:
    """Return the Jetson Linux release: "# R36 (release), REVISION: 4.3, ..." is (36, 4, 3)."""
    first = machine.text("etc/nv_tegra_release") or ""
    match = re.match(r"#\s*R(\d+)\s*\(release\),\s*REVISION:\s*(\d+(?:\.\d+)*)", first)
    return tuple(int(n) for n in f"{match[1]}.{match[2]}".split(".")) if match else None


def jetpack_here(machine: Machine) -> str | None:
    """Return the JetPack version, "6.2.1"; None off Jetson or where it cannot be told."""
    package = machine.run(["dpkg-query", "--show", "--showformat=${Version}", "nvidia-jetpack"])
    match = re.match(r"\d+(\.\d+)+", package or "")
    if match:
        return match[0]
    l4t = l4t_here(machine)
    jetpack = jetpack_from_l4t(l4t) if l4t else None
    return text_from_version(jetpack) if jetpack else None


def _detect_jetson(machine: Machine) -> Target:
    compatible = (machine.text("proc/device-tree/compatible") or "").replace("\0", " ")
    model = machine.text("proc/device-tree/model") or ""
    stem = next((stem for part, stem in MODULES if part in compatible), None)
    if stem is None:
        raise TargetError(
            f"This Jetson is not in the catalog (model {model!r}, compatible {compatible!r}).",
            next_command="edgekit targets",
        )
    rows = [t for t in all_targets() if t.id == stem or t.id.startswith(f"{stem}-")]
    is_super = model.lower().endswith("super")
    rows = [t for t in rows if t.id.endswith("-super") == is_super] or rows
    memory = memory_gib(machine)
    rows.sort(key=lambda target: target.memory_gib or 0)
    # The kernel keeps some memory for itself, so the row is the smallest that holds what is seen.
    large_enough = [t for t in rows if memory is None or (t.memory_gib or 0) >= memory]
    return (large_enough or rows[-1:])[0]


def _target_of_gpu(gpu: Gpu) -> Target:
    spelled = re.sub(r"[^a-z0-9]+", "-", gpu.name.lower()).strip("-")
    spelled = re.sub(r"^(nvidia|tesla)-", "", spelled)
    spelled = re.sub(r"^(geforce|tesla)-", "", spelled)
    wanted = GPU_NAMES.get(spelled, spelled)
    for target in all_targets():
        if target.id == wanted and gpu.sm in (None, target.sm):
            return target
    if gpu.sm is None:
        raise TargetError(
            f"{gpu.name} is not in the catalog and its driver {gpu.driver or '(unknown)'} does not "
            "tell its compute capability.",
            next_command="nvidia-smi --query-gpu=name,compute_cap --format=csv",
        )
    memory = None if gpu.memory_mib is None else gpu.memory_mib / 1024
    return generic_target(gpu.sm, name=gpu.name, memory_gib=memory)
