"""A device over SSH as the Machine that `targets` asks: its files and its commands' output."""

from __future__ import annotations

import re
import secrets
import shlex
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from targets import Conditions, read_conditions
from targets.machine import Machine
from toolkit.remote.connection import Connection, ask

__all__ = ["conditions_of", "open_machine"]

# All that targets.detect and targets.conditions read, in one journey.
_FILES = (
    *("etc/nv_tegra_release", "etc/os-release", "proc/meminfo", "proc/cpuinfo", "proc/loadavg"),
    *("proc/device-tree/compatible", "proc/device-tree/model", "proc/sys/kernel/osrelease"),
    *("sys/class/dmi/id/sys_vendor", "sys/class/dmi/id/product_name", "sys/fs/cgroup/cpu.max"),
    "sys/devices/system/cpu/cpu[0-9]*/cpufreq/scaling_governor",
    "sys/devices/system/cpu/cpu[0-9]*/cpufreq/scaling_*_freq",
    "sys/devices/system/cpu/cpu0/thermal_throttle/package_throttle_count",
    *("sys/class/thermal/thermal_zone*/type", "sys/class/thermal/thermal_zone*/temp"),
    *("sys/class/thermal/cooling_device*/type", "sys/class/thermal/cooling_device*/cur_state"),
    *("sys/class/devfreq/*/cur_freq", "sys/class/devfreq/*/min_freq"),
    *("sys/class/devfreq/*/max_freq", "sys/class/hwmon/hwmon*/oc*_event_cnt"),
)
_NAME = re.compile(r"[\w./:@+-]+")
_COMMAND_S = 10.0


@contextmanager
def open_machine(connection: Connection, *, root: str = "/") -> Iterator[Machine]:
    """Yield the device as it is now. `root` is where its own / is seen, from inside a container.

    Raises ConnectionError when cut.
    """
    mark = secrets.token_hex(8)
    answer = connection.run(
        f"uname -m; cd {shlex.quote(root)} || exit; for file in {' '.join(_FILES)}; do "
        f'[ -f "$file" ] && printf \'\\n{mark} %s\\n\' "$file" && head -c 65536 "$file" '
        "2>/dev/null; done; :"
    )
    arch, *parts = answer.out.split(f"\n{mark} ".encode())

    def run(arguments: Sequence[str]) -> str | None:
        said = connection.run(f"{shlex.join(arguments)} < /dev/null", timeout_s=_COMMAND_S)
        return said.out.decode("utf-8", "replace") if said.code == 0 else None

    with tempfile.TemporaryDirectory(prefix="edgekit-") as folder:
        for part in parts:
            name, _, content = part.partition(b"\n")
            _keep(Path(folder), name.decode("utf-8", "replace"), content)
        yield Machine(Path(folder), run, arch.decode().strip())


def conditions_of(connection: Connection, machine: Machine, *, tensorrt: str) -> Conditions:
    """Return the device's conditions. No Python of the device is asked: it may have none."""
    conditions = read_conditions(root=machine.root, run=machine.run, arch=machine.arch, packages=())
    kernel = ask(connection, "uname -r", what="say its kernel")
    versions = {"tensorrt": tensorrt}
    return replace(conditions, python="not asked", kernel=kernel, versions=versions)


def _keep(folder: Path, name: str, content: bytes) -> None:
    # The device says the names: nothing outside the folder may be written.
    if not _NAME.fullmatch(name) or name.startswith("/") or ".." in name.split("/"):
        return
    file = folder / name
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(content)
