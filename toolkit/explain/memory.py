"""Memory, disk and power: what the kernel or an allocator says when a machine is too small."""

from __future__ import annotations

from toolkit.explain.rule import Rule

__all__ = ["RULES"]

_NO_DESKTOP = "sudo systemctl isolate multi-user.target"

RULES = (
    Rule(
        "killed-by-kernel",
        (r"Out of memory: Kill(?:ed)? process \d+ \((?P<program>[^)\n]{1,80})\)",),
        "Memory ran out and the kernel killed {program}. On a Jetson the desktop alone takes about "
        "a gigabyte; swap helps the CPU's part of a build, not the GPU's.",
        _NO_DESKTOP,
        "dusty-nv/jetson-inference issue 1711, mounting swap and disabling the desktop",
    ),
    Rule(
        "killed-by-container-limit",
        (r"Memory cgroup out of memory: Kill(?:ed)? process \d+ \((?P<program>[^)\n]{1,80})\)",),
        "{program} passed the memory limit of its container or service, and was killed; the "
        "machine itself may have plenty.",
        "docker stats --no-stream",
        "Docker documentation, Resource constraints: --memory",
    ),
    Rule(
        "killed",
        (
            r"^Killed$",
            r"line \d+: +\d+ Killed\b",
            r"xit(?:ed)?(?: with)? (?:code|status):? (?:137|-9)\b",
            r"Exited \(137\)",
        ),
        "The process was killed from outside, which is nearly always the kernel when memory runs "
        "out; dmesg tells.",
        "sudo dmesg | grep -i -e oom -e 'killed process'",
        "dusty-nv/jetson-inference issue 1711, Killed",
    ),
    Rule(
        "jetson-gpu-memory",
        (r"NvMapMemAllocInternalTagged: \d+ error 12", r"NvMapMemHandleAlloc: error"),
        "The Jetson has no memory left for its GPU, which shares it with the CPU and cannot use "
        "swap; after days of running it may also be in pieces, and a reboot helps.",
        _NO_DESKTOP,
        "NVIDIA developer forum, NvMapMemAllocInternalTagged error 12",
    ),
    Rule(
        "gpu-memory",
        (
            r"Error Code 2: OutOfMemory",
            r"Requested amount of GPU memory \(\d+ bytes\) could not be allocated",
            r"Cuda Runtime \(out of memory\)",
            r"cudaErrorMemoryAllocation",
            r"cuMem\w*Alloc\w* failed: out of memory",
            r"CUDA initialization failure with error: 2\b",
            r"CUDA out of memory",
        ),
        "The GPU has too little free memory: another program holds it, or the batch is too large.",
        "nvidia-smi --query-compute-apps=pid,name,used_memory --format=csv",
        "TensorRT documentation, Best Practices: memory; NVIDIA/TensorRT issue 1404",
    ),
    Rule(
        "host-memory",
        (r"std::bad_alloc", r"Cannot allocate memory", r"^MemoryError"),
        "The machine has too little free memory for what was asked.",
        "free -h",
        "NVIDIA/TensorRT issue 1703, bad_alloc",
    ),
    Rule(
        "shared-memory",
        (r"insufficient shared memory \(shm\)", r"Bus error"),
        "Shared memory ran out: containers get 64 MB of it unless told otherwise.",
        "docker run --ipc=host IMAGE",
        "Docker documentation, docker run: --shm-size and --ipc",
    ),
    Rule(
        "disk-full",
        (r"^(?!.*(?:VIDIOC_|turning on stream)).*No space left on device",),
        "The disk is full: engines, logs and core dumps add up on a small card.",
        "df -h .",
        "Linux documentation, ENOSPC",
    ),
    Rule(
        "power-throttled",
        (r"soctherm: OC ALARM", r"System throttled due to [Oo]ver-?current"),
        "The board drew more power than its supply or mode allows and lowered its clocks: "
        "latencies of this time say nothing.",
        "sudo nvpmodel -q",
        "Jetson Linux Developer Guide, Platform Power and Performance: over-current",
        warning=True,
    ),
)
