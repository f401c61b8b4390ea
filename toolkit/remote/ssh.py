"""SSH with paramiko: known hosts only, keys from agent and files, ~/.ssh/config honoured."""

from __future__ import annotations

import getpass
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from shlex import quote
from typing import BinaryIO

import paramiko  # type: ignore[import-untyped]  # ships no types

from toolkit.errors import RemoteError
from toolkit.remote.connection import PATIENCE_S, Address, Answer
from toolkit.shell import quoted, word

__all__ = ["SshConnection", "open_ssh"]

_CONNECT_S = 15.0
_TICK_S = 1.0
_ALIVE_EVERY_S = 10
_PIECE = 1 << 16
_NO_KEY = "No authentication methods available"
_SYSTEM_KNOWN_HOSTS = Path("/etc/ssh/ssh_known_hosts")


@dataclass(frozen=True)
class _Settings:
    """What an address means after ~/.ssh/config was read. `jump` is a ProxyCommand, or ""."""

    host: str
    user: str
    port: int
    identities: tuple[str, ...]
    only_these: bool
    known_hosts: tuple[Path, ...]
    jump: str

    @property
    def known_as(self) -> str:
        """Return the name under which known_hosts has the key."""
        return self.host if self.port == 22 else f"[{self.host}]:{self.port}"


class SshConnection:
    """A Connection over one SSH transport. See `toolkit.remote.connection.Connection`."""

    def __init__(self, client: paramiko.SSHClient, address: Address) -> None:
        self._client = client
        self.address = address

    def run(
        self,
        script: str,
        *,
        timeout_s: float | None = PATIENCE_S,
        hear: Callable[[bytes], None] | None = None,
        feed: BinaryIO | None = None,
    ) -> Answer:
        """Run a script with the device's `sh` and return how it ended."""
        end_s = None if timeout_s is None else time.monotonic() + timeout_s
        try:
            transport = self._client.get_transport()
            if transport is None:
                raise paramiko.SSHException("the connection is closed")
            with closing(transport.open_session(timeout=_CONNECT_S)) as channel:
                channel.settimeout(PATIENCE_S)
                # The login shell may be any; what it is handed is one quoted word.
                channel.exec_command(f"exec sh -c {quote(script)}")
                if feed is not None:
                    _feed(channel, feed)
                channel.shutdown_write()
                out = _listen(channel, hear, end_s)
                error = channel.makefile_stderr("rb").read().decode("utf-8", "replace").strip()
                code = _exit_code(channel)
        except _ListenerError as failed:
            raise failed.reason from None
        except (paramiko.SSHException, EOFError, OSError) as cut:
            raise ConnectionError(f"{self.address} does not answer any more ({cut})") from cut
        return Answer(code, out, error)


@contextmanager
def open_ssh(address: Address) -> Iterator[SshConnection]:
    """Open a connection for a block; see `toolkit.remote.connection.open_connection`."""
    settings = _settings(address)
    client = paramiko.SSHClient()
    client.set_missing_host_key_policy(_Refuse(address, settings))
    _load_known_hosts(client, settings)
    jump = paramiko.ProxyCommand(settings.jump) if settings.jump else None
    try:
        _connect(client, address, settings, jump)
        client.get_transport().set_keepalive(_ALIVE_EVERY_S)
        if jump is None:  # many short messages: waiting to fill packets costs 40 ms each time
            client.get_transport().sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        yield SshConnection(client, address)
    finally:
        client.close()
        if jump is not None:
            jump.close()


class _ListenerError(Exception):
    def __init__(self, reason: Exception) -> None:
        super().__init__(str(reason))
        self.reason = reason


class _Refuse(paramiko.MissingHostKeyPolicy):  # type: ignore[misc]  # paramiko ships no types
    """An unknown key is never added: that decision is the user's."""

    def __init__(self, address: Address, settings: _Settings) -> None:
        self._address, self._settings = address, settings

    def missing_host_key(
        self, client: paramiko.SSHClient, hostname: str, key: paramiko.PKey
    ) -> None:
        """Refuse. Raises RemoteError with the command that shows and adds the key."""
        settings = self._settings
        port = "" if settings.port == 22 else f"-p {settings.port} "
        raise RemoteError(
            f"The host key of {settings.known_as} is not known ({key.fingerprint}): compare it "
            "with the one the device shows, then add it.",
            next_command=f"ssh-keyscan {port}{word(settings.host)} >> "
            f"{quoted(settings.known_hosts[0])}",
        )


def _settings(address: Address) -> _Settings:
    path = Path("~/.ssh/config").expanduser()
    try:
        config = paramiko.SSHConfig.from_path(str(path)) if path.is_file() else None
        found = config.lookup(address.host) if config else {}
    except (paramiko.SSHException, OSError, ValueError) as error:
        raise RemoteError(
            f"{path} cannot be used ({error}).", next_command=f"ssh -G {word(address.host)}"
        ) from error
    host = str(found.get("hostname", address.host))
    user = address.user or str(found.get("user") or getpass.getuser())
    port = address.port or int(found.get("port", 22))
    named = [str(address.identity)] if address.identity else []
    files = str(found.get("userknownhostsfile", "~/.ssh/known_hosts")).split()
    return _Settings(
        host=host,
        user=user,
        port=port,
        identities=(*named, *map(str, found.get("identityfile", ()))),
        only_these=bool(named) or str(found.get("identitiesonly", "no")).lower() == "yes",
        known_hosts=tuple(Path(file).expanduser() for file in files),
        jump=_jump(found, host, port),
    )


def _jump(found: dict[str, object], host: str, port: int) -> str:
    if "proxycommand" in found:
        return str(found["proxycommand"])
    jump = str(found.get("proxyjump", "none"))
    return "" if jump == "none" else f"ssh -W {quote(f'{host}:{port}')} {quote(jump)}"


def _load_known_hosts(client: paramiko.SSHClient, settings: _Settings) -> None:
    for path in (*settings.known_hosts, _SYSTEM_KNOWN_HOSTS):
        try:
            if path.is_file():
                client.load_system_host_keys(str(path))
        except (paramiko.SSHException, OSError, ValueError) as error:
            raise RemoteError(
                f"{path} cannot be read ({error}).", next_command=f"ls -l {quoted(path)}"
            ) from error


def _connect(
    client: paramiko.SSHClient,
    address: Address,
    settings: _Settings,
    jump: paramiko.ProxyCommand | None,
) -> None:
    identity = address.identity
    if identity is not None and not identity.is_file():
        raise RemoteError(
            f"The key {identity} does not exist.", next_command=f"ls -l {quoted(identity.parent)}"
        )
    try:
        client.connect(
            settings.host,
            port=settings.port,
            username=settings.user,
            key_filename=[name for name in settings.identities if Path(name).is_file()] or None,
            allow_agent=not settings.only_these,
            look_for_keys=not settings.only_these,
            timeout=_CONNECT_S,
            banner_timeout=_CONNECT_S,
            auth_timeout=_CONNECT_S,
            channel_timeout=_CONNECT_S,
            sock=jump,
        )
    except paramiko.BadHostKeyException as error:
        raise RemoteError(
            f"The host key of {settings.known_as} has changed ({error.key.fingerprint}; known is "
            f"{error.expected_key.fingerprint}): the device was set up anew, or something sits in "
            "between.",
            next_command=f"ssh-keygen -R {word(settings.known_as)} "
            f"-f {quoted(settings.known_hosts[0])}",
        ) from error
    except paramiko.PasswordRequiredException as error:
        raise RemoteError(
            f"The key for {address} has a passphrase: give it to the SSH agent.",
            next_command=f"ssh-add {quoted(settings.identities[0])}"
            if settings.identities
            else "ssh-add",
        ) from error
    except (paramiko.SSHException, EOFError, OSError) as error:
        said = " ".join(str(error).split()).rstrip(".") or type(error).__name__
        # Without any key at hand paramiko raises its most general exception.
        if isinstance(error, paramiko.AuthenticationException) or _NO_KEY in said:
            raise RemoteError(
                f"{address} accepts none of our keys (user {settings.user}).",
                next_command=f"ssh-copy-id -p {settings.port} "
                f"{word(f'{settings.user}@{settings.host}')}",
            ) from error
        raise ConnectionError(
            f"{address} cannot be reached at {settings.host}, port {settings.port} ({said})"
        ) from error


def _feed(channel: paramiko.Channel, feed: BinaryIO) -> None:
    while piece := feed.read(_PIECE):
        try:
            channel.sendall(piece)
        except OSError:
            if channel.exit_status_ready():
                return  # the command ended without reading everything; its exit code says why
            raise


def _listen(
    channel: paramiko.Channel, hear: Callable[[bytes], None] | None, end_s: float | None
) -> bytes:
    """Collect standard output to its end. Raises TimeoutError after silence or at `end_s`."""
    pieces: list[bytes] = []
    channel.settimeout(_TICK_S)
    heard_s = time.monotonic()
    while True:
        try:
            piece = channel.recv(_PIECE)
        except TimeoutError:
            now_s = time.monotonic()
            if end_s is not None and now_s > end_s:
                raise TimeoutError("the command took too long") from None
            # With an end of its own a command may be silent; without one it must give signs.
            if end_s is None and now_s - heard_s > PATIENCE_S:
                raise TimeoutError(f"nothing was heard for {PATIENCE_S:.0f} s") from None
            continue
        if not piece:
            return b"".join(pieces)
        heard_s = time.monotonic()
        if hear is None:
            pieces.append(piece)
        else:
            try:
                hear(piece)
            except Exception as reason:  # a full disk here is no failure of the connection
                raise _ListenerError(reason) from reason


def _exit_code(channel: paramiko.Channel) -> int:
    if not channel.status_event.wait(PATIENCE_S):
        raise TimeoutError("the command did not end")
    code = int(channel.exit_status)
    if code == -1:  # cut, or ended by a signal, which leaves no code
        raise EOFError("the exit code was lost")
    return code
