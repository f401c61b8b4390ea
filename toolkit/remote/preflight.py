"""Look at a device before anything is sent to it: which one it is, and whether it can build."""

from __future__ import annotations

import re
from dataclasses import dataclass

from targets import Conditions, Target, TargetError, detect
from targets.machine import Machine
from toolkit.errors import ForeignEngineError, RemoteError
from toolkit.remote.build_script import FIND_TRTEXEC
from toolkit.remote.connection import Connection
from toolkit.remote.machine import conditions_of, open_machine
from toolkit.remote.trtexec import version_from_banner
from toolkit.shell import word

__all__ = ["OUR_FOLDER", "Device", "check_room", "inspect_device"]

OUR_FOLDER = ".cache/edgekit"
"""Where Edgekit keeps its files on a device, below the home folder."""

_LEAST_MIB = 512  # less than TensorRT's libraries take once they are loaded
_COMFORTABLE_MIB = 2048
_ROOM_FACTOR = 4  # bundle, what it unpacks to, the engine and its copy while it is written
_ROOM_MIB = 64

_QUESTIONS = """\
echo "path $trtexec"
echo "home $HOME"
df -Pk "$HOME" | tail -n 1
dpkg-query --show --showformat='tensorrt ${Version}\\n' tensorrt 2> /dev/null || :
printf '%s\\n' "$offers"
"""


@dataclass(frozen=True)
class Device:
    """What a device has. `folder` is where Edgekit keeps its files there."""

    target: Target
    conditions: Conditions
    trtexec: str
    tensorrt: str
    offers: str
    """What it said of itself, with trtexec's help: which options this version has."""
    folder: str
    disk_free_mib: int
    swap_free_mib: int
    warnings: tuple[str, ...]

    def has(self, option: str) -> bool:
        """Return whether trtexec's help has a line with `option`."""
        return f"  {option}" in self.offers

    def summary(self) -> str:
        """Return the device in one line."""
        c = self.conditions
        system = f"JetPack {c.jetpack} (L4T {c.l4t})" if c.jetpack else c.os or "unknown system"
        mode = f", power mode {c.power_mode}" if c.power_mode else ""
        return (
            f"{self.target.name}, {system}, TensorRT {self.tensorrt}{mode}, "
            f"{c.memory_available_mib or '?'} MiB of memory and {self.swap_free_mib} MiB of swap "
            f"free, {self.disk_free_mib} MiB of disk free"
        )


def inspect_device(
    connection: Connection, *, target: Target | None = None, root: str = "/"
) -> Device:
    """Return what the device is. `target`: what it should be. `root`: see `open_machine`.

    Raises ForeignEngineError when it is another GPU, RemoteError when it has no NVIDIA GPU, no
    trtexec or too little memory, ConnectionError when cut.
    """
    answers = _ask_trtexec(connection)
    lines = answers.splitlines()
    disk_mib = next((int(f[3]) // 1024 for f in map(str.split, lines[2:3]) if len(f) > 4), 0)
    packaged = re.search(r"^tensorrt (\d+(?:\.\d+)+)", answers, re.MULTILINE)
    tensorrt = version_from_banner(answers) or (packaged[1] if packaged else "")
    if not tensorrt:
        raise RemoteError(
            f"trtexec on {connection.address} does not say its version, and no package does.",
            next_command=f"{connection.address.ssh} {word(lines[0][5:])} --help",
        )
    with open_machine(connection, root=root) as machine:
        found = _detect(connection, machine, target)
        conditions = conditions_of(connection, machine, tensorrt=tensorrt)
        swap = re.search(r"^SwapFree:\s*(\d+) kB", machine.text("proc/meminfo") or "", re.MULTILINE)
    swap_mib = int(swap[1]) // 1024 if swap else 0
    return Device(
        target=found if target is None else target,
        conditions=conditions,
        trtexec=lines[0].removeprefix("path "),
        tensorrt=tensorrt,
        offers=answers,
        folder=f"{lines[1].removeprefix('home ')}/{OUR_FOLDER}",
        disk_free_mib=disk_mib,
        swap_free_mib=swap_mib,
        warnings=(
            *_other_board(found, target),
            *_memory(connection, conditions, swap_mib),
        ),
    )


def check_room(connection: Connection, size: int, *, free_mib: int) -> None:
    """Raise RemoteError when the device's disk cannot hold work on `size` bytes."""
    needed_mib = _ROOM_MIB + _ROOM_FACTOR * size // 2**20
    if free_mib < needed_mib:
        raise RemoteError(
            f"The disk of {connection.address} has {free_mib} MiB free; this needs "
            f"{needed_mib} MiB.",
            next_command=f"{connection.address.ssh} df -h",
        )


def _ask_trtexec(connection: Connection) -> str:
    answer = connection.run(FIND_TRTEXEC + _QUESTIONS)
    if answer.code == 127:
        raise RemoteError(
            f"{connection.address} has no trtexec: TensorRT is not installed there, or not where "
            "JetPack puts it.",
            next_command=f"{connection.address.ssh} sudo apt-get install nvidia-jetpack",
        )
    if answer.code != 0:
        raise RemoteError(
            f"{connection.address} did not answer what it is ({answer.err[-120:]}).",
            next_command=connection.address.ssh,
        )
    return answer.text


def _detect(connection: Connection, machine: Machine, target: Target | None) -> Target:
    try:
        found = detect(machine)
    except TargetError as error:
        if target is None:
            raise
        raise ForeignEngineError(
            f"{connection.address} is not {target.name}: {error.message}",
            next_command="edgekit targets",
        ) from error
    if found.is_cpu:
        raise RemoteError(
            f"{connection.address} has no NVIDIA GPU that can be seen: neither a Jetson's device "
            "tree nor nvidia-smi.",
            next_command=f"{connection.address.ssh} nvidia-smi",
        )
    if target is not None and found.sm != target.sm:
        raise ForeignEngineError(
            f"{connection.address} is {found.name} (SM {found.sm_text}), not {target.name} "
            f"(SM {target.sm_text}): TensorRT builds only for the GPU it runs on.",
            next_command=f"edgekit build MODEL.onnx --target {found.id} "
            f"--host {connection.address}",
        )
    return found


def _other_board(found: Target, target: Target | None) -> tuple[str, ...]:
    if target is None or found.id == target.id:
        return ()
    return (f"the device is {found.name}, not {target.name}: its kernels were timed there",)


def _memory(connection: Connection, conditions: Conditions, swap_mib: int) -> tuple[str, ...]:
    free_mib = conditions.memory_available_mib
    if free_mib is None:
        return ()
    if free_mib + swap_mib < _LEAST_MIB:
        raise RemoteError(
            f"{connection.address} has {free_mib} MiB of memory and {swap_mib} MiB of swap free: "
            "Linux would kill the builder.",
            next_command=f"{connection.address.ssh} free -m",
        )
    if free_mib < _COMFORTABLE_MIB and swap_mib < _COMFORTABLE_MIB:
        return (
            f"only {free_mib} MiB of memory and {swap_mib} MiB of swap are free on the device: "
            "a large model may be killed",
        )
    return ()
