"""A real OpenSSH server on loopback that stands for a device, with a stand-in trtexec."""

from __future__ import annotations

import os
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.bad_input.command import EDGEKIT
from toolkit.remote.connection import Address

STAND_IN = Path(__file__).with_name("trtexec.py")
SSHD = shutil.which("sshd", path=f"{os.environ.get('PATH', '')}:/usr/sbin:/usr/local/sbin")
SSH_KEYGEN = shutil.which("ssh-keygen")
WHY_NOT = "" if SSHD and SSH_KEYGEN else "no OpenSSH server: apt-get install openssh-server"

ORIN = (
    "NVIDIA Jetson Orin Nano Developer Kit\0",
    "nvidia,p3768-0000+p3767-0005\0nvidia,p3767-0005\0nvidia,tegra234\0",
)
_L4T = {
    "8.2.1": "# R32 (release), REVISION: 7.1, GCID: 1, BOARD: t210ref\n",
    "8.5.2": "# R35 (release), REVISION: 3.1, GCID: 1, BOARD: t186ref\n",
    "10.3.0": "# R36 (release), REVISION: 4.3, GCID: 1, BOARD: generic\n",
}


@dataclass
class SshDevice:
    """The server. `home` is the device's home folder, `root` its /, `client` ours."""

    folder: Path
    port: int
    process: subprocess.Popen[bytes] | None = None

    @property
    def home(self) -> Path:
        return self.folder / "device-home"

    @property
    def root(self) -> Path:
        return self.folder / "device-root"

    @property
    def client(self) -> Path:
        return self.folder / "client-home"

    @property
    def key(self) -> Path:
        return self.folder / "id_ed25519"

    @property
    def known_hosts(self) -> Path:
        return self.client / ".ssh" / "known_hosts"

    @property
    def address(self) -> Address:
        return Address("127.0.0.1", _user(), self.port, self.key)

    def command(self, name: str, script: str) -> None:
        """Put a program on the device's path."""
        path = self.folder / "bin" / name
        path.write_text(f"#!/bin/sh\n{script}\n")
        path.chmod(0o755)

    def has_trtexec(self, version: str, *, seconds: float = 0.2, mode: str = "fine") -> None:
        """Install the stand-in, and the L4T release that ships this version."""
        start = [sys.executable, "-S", str(STAND_IN), version, "0", "fine", "--help"]
        told = subprocess.run(start, capture_output=True, check=True).stdout
        (self.folder / "help").write_bytes(told)  # asked for often: no Python starts for it
        self.command(
            "trtexec",
            f'[ "$*" = --help ] && exec cat {self.folder / "help"}\n'
            'case "$*" in *--loadInputs*) site= ;; *) site=-S ;; esac\n'
            f'exec {sys.executable} $site {STAND_IN} {version} {seconds} {mode} "$@"',
        )
        if version in _L4T:
            (self.root / "etc" / "nv_tegra_release").write_text(_L4T[version])

    def has_edgekit(self, place: Path | None = None) -> None:
        """Install the real Edgekit of these tests, on the path or as another file."""
        run = f'OMP_NUM_THREADS=1 exec {shlex.join(EDGEKIT)} "$@"'
        self.command("edgekit", run)
        if place is not None:
            place.parent.mkdir(parents=True)
            (self.folder / "bin" / "edgekit").rename(place)

    def has_gpu(self, name: str, sm: str) -> None:
        """Be a computer with a desktop GPU, as its nvidia-smi tells."""
        row = f"{name}, 580.65.06, 24576, 41, 1695, 30.1, {sm}, 0x0000000000000000"
        self.command("nvidia-smi", f"echo '{row}'")

    def make_key(self, path: Path) -> None:
        """Make a key that the device does not know."""
        _keygen(path)

    @contextmanager
    def agent(self) -> Iterator[str]:
        """Yield the socket of an SSH agent that has the device's key."""
        name = str(self.folder / "agent")
        process = subprocess.Popen(
            ["ssh-agent", "-D", "-a", name], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        try:
            end = time.monotonic() + 10
            while not Path(name).exists() and time.monotonic() < end:
                time.sleep(0.02)
            environment = {**os.environ, "SSH_AUTH_SOCK": name}
            add = ["ssh-add", "-q", str(self.key)]
            subprocess.run(add, env=environment, check=True, timeout=20)
            yield name
        finally:
            process.terminate()
            process.wait(10)

    @contextmanager
    def small_disk(self) -> Iterator[Path]:
        """Yield a folder of the device on a disk of 1 MiB. Skips where none can be mounted."""
        folder = self.home / "small"
        folder.mkdir()
        mount = ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(folder)]
        if subprocess.run(mount, capture_output=True, check=False).returncode != 0:
            pytest.skip("no file system can be mounted here: that takes root")
        try:
            yield folder
        finally:
            subprocess.run(["umount", str(folder)], check=True)

    def running(self, name: str) -> list[int]:
        """Return the processes below the device's home whose command line has `name`."""
        found = []
        for entry in Path("/proc").iterdir():
            if entry.name.isdigit():
                try:
                    where = (entry / "cwd").readlink()
                    line = (entry / "cmdline").read_text()
                except OSError:
                    continue  # it ended, or is somebody else's
                if where.is_relative_to(self.home) and name in line:
                    found.append(int(entry.name))
        return found

    def cut(self) -> int:
        """Kill the processes that serve the open connections; the server itself goes on."""
        assert self.process is not None
        children = _children(self.process.pid)
        for child in children:
            for below in _children(child):  # with privilege separation a second process serves
                _kill(below)
            _kill(child)
        return len(children)

    def new_host_key(self) -> None:
        """Change the server's identity, as a re-installed device does."""
        self.stop()
        _keygen(self.folder / "host_key")
        self.start()

    def start(self) -> None:
        """Start the server and wait until it listens."""
        assert SSHD is not None
        config = self.folder / "sshd_config"
        with (self.folder / "sshd.log").open("ab") as log:
            self.process = subprocess.Popen(
                [SSHD, "-D", "-e", "-f", str(config)], stderr=log, stdin=subprocess.DEVNULL
            )
        end = time.monotonic() + 10
        while time.monotonic() < end:
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", self.port)) == 0:
                    return
            time.sleep(0.02)
        raise RuntimeError((self.folder / "sshd.log").read_text())

    def stop(self) -> None:
        """End the server and every connection."""
        if self.process is not None and self.process.poll() is None:
            self.cut()
            self.process.terminate()
            self.process.wait(10)


@contextmanager
def ssh_device(folder: Path) -> Iterator[SshDevice]:
    """Yield a device that only our key opens, and whose host key our known_hosts has."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        device = SshDevice(folder, free.getsockname()[1])
    for path in (device.home, device.root / "etc", device.client / ".ssh", folder / "bin"):
        path.mkdir(parents=True)
    _keygen(folder / "host_key")
    _keygen(device.key)
    keys = folder / "authorized_keys"
    keys.write_text((folder / "id_ed25519.pub").read_text())
    keys.chmod(0o600)
    search = f"{folder / 'bin'}:/usr/bin:/bin:/usr/sbin:/sbin"
    (folder / "sshd_config").write_text(
        f"Port {device.port}\nListenAddress 127.0.0.1\nHostKey {folder / 'host_key'}\n"
        f"AuthorizedKeysFile {keys}\nPidFile none\nStrictModes no\nUsePAM no\n"
        "PasswordAuthentication no\nKbdInteractiveAuthentication no\nPermitRootLogin yes\n"
        f"SetEnv PATH={search} HOME={device.home}\n"
    )
    if os.geteuid() == 0:
        Path("/run/sshd").mkdir(exist_ok=True)  # where sshd drops its rights; no service makes it
    trust(device)
    model, compatible = ORIN
    tree = device.root / "proc" / "device-tree"
    tree.mkdir(parents=True)
    (tree / "model").write_text(model)
    (tree / "compatible").write_text(compatible)
    (device.root / "proc" / "meminfo").write_text(
        "MemTotal: 7802664 kB\nMemFree: 201104 kB\nMemAvailable: 5211076 kB\n"
        "SwapTotal: 4194304 kB\nSwapFree: 4194304 kB\n"
    )
    device.start()
    try:
        yield device
    finally:
        device.stop()


def trust(device: SshDevice) -> None:
    """Write the host key into known_hosts, as the user does after comparing it."""
    kind, key, *_ = (device.folder / "host_key.pub").read_text().split()
    device.known_hosts.write_text(f"[127.0.0.1]:{device.port} {kind} {key}\n")


def _keygen(path: Path) -> None:
    assert SSH_KEYGEN is not None
    path.unlink(missing_ok=True)
    subprocess.run(
        [SSH_KEYGEN, "-q", "-t", "ed25519", "-N", "", "-f", str(path)], check=True, timeout=20
    )


def _kill(pid: int) -> None:
    with suppress(ProcessLookupError):  # it ended between being listed and being killed
        os.kill(pid, signal.SIGKILL)


def _children(pid: int) -> list[int]:
    text = (
        Path(f"/proc/{pid}/task/{pid}/children").read_text()
        if Path(f"/proc/{pid}").exists()
        else ""
    )
    return [int(child) for child in text.split()]


def _user() -> str:
    import pwd

    return pwd.getpwuid(os.getuid()).pw_name
