"""A shell on another machine: what the rest of this package needs of SSH, and how to open one."""

from __future__ import annotations

import re
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Protocol

from toolkit.errors import InputError, RemoteError
from toolkit.lazy import load
from toolkit.shell import word

__all__ = [
    "PATIENCE_S",
    "Address",
    "Answer",
    "Connection",
    "Opener",
    "address_from_text",
    "ask",
    "disk_or_shell",
    "open_connection",
]

PATIENCE_S = 30.0
"""A command that says nothing for so long is taken for a connection that was cut."""


@dataclass(frozen=True)
class Address:
    """Where a device is reached. What is None is taken from ~/.ssh/config, as `ssh` does."""

    host: str
    user: str | None = None
    port: int | None = None
    identity: Path | None = None

    def __str__(self) -> str:
        return f"{self.user}@{self.host}" if self.user else self.host

    @property
    def ssh(self) -> str:
        """Return the `ssh` command line that goes there."""
        port = f" -p {self.port}" if self.port else ""
        identity = f" -i {word(str(self.identity))}" if self.identity else ""
        return f"ssh{port}{identity} {word(str(self))}"


@dataclass(frozen=True)
class Answer:
    """How a command ended."""

    code: int
    out: bytes
    err: str

    @property
    def text(self) -> str:
        """Return what it printed, without blanks at the end."""
        return self.out.decode("utf-8", "replace").rstrip()


class Connection(Protocol):
    """An open connection. Raises ConnectionError from any call once it is cut."""

    @property
    def address(self) -> Address:
        """Return where it goes."""

    def run(
        self,
        script: str,
        *,
        timeout_s: float | None = PATIENCE_S,
        hear: Callable[[bytes], None] | None = None,
        feed: BinaryIO | None = None,
    ) -> Answer:
        """Run a script with the device's `sh` and return how it ended.

        `hear` gets the output piece by piece instead of the answer; `feed` is its standard input.
        `timeout_s` limits the whole run; None: only silence counts.
        """


Opener = Callable[[], AbstractContextManager[Connection]]
"""Opens one more connection to the same device."""


def address_from_text(
    text: str, *, port: int | None = None, identity: Path | None = None
) -> Address:
    """Return the address in "user@host" or "host". Raises InputError when it is none."""
    match = re.fullmatch(r"(?:([^@\s:]+)@)?([^@\s:-][^@\s:]*|[0-9a-fA-F:.]*:[0-9a-fA-F:.]+)", text)
    if match is None:
        raise InputError(
            f"{text!r} is not USER@HOST; passwords and ports do not belong in it.",
            next_command="edgekit build MODEL.onnx --target NAME --host USER@HOST --port 22",
        )
    return Address(match[2], match[1], port, identity)


def open_connection(address: Address) -> AbstractContextManager[Connection]:
    """Return an open connection, to be used in a `with`.

    Raises RemoteError when the host's key is unknown or has changed or no key of ours opens it,
    ConnectionError when it cannot be reached, MissingDependencyError without paramiko.
    """
    open_ssh = load(
        "toolkit.remote.ssh:open_ssh",
        what="Working over SSH",
        install="pip install 'edgekit[ssh]'",
    )
    opened: AbstractContextManager[Connection] = open_ssh(address)
    return opened


def ask(connection: Connection, script: str, *, what: str, timeout_s: float = PATIENCE_S) -> str:
    """Return what a script prints. Raises RemoteError with its own words when it fails."""
    answer = connection.run(script, timeout_s=timeout_s)
    if answer.code != 0:
        said = " ".join((answer.err or answer.text).split())[-200:] or "it gave no reason"
        raise RemoteError(
            f"{connection.address} could not {what} (exit code {answer.code}): {said}.",
            next_command=disk_or_shell(connection.address, said),
        )
    return answer.text


def disk_or_shell(address: Address, said: str) -> str:
    """Return the command that helps after `said`: free space where the disk is full."""
    full = "No space left on device" in said or "Disk quota exceeded" in said
    return f"{address.ssh} df -h" if full else address.ssh
