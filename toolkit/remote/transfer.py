"""Copy files to a device and back: checked by SHA-256, resumed, never half a file of that name."""

from __future__ import annotations

import hashlib
from pathlib import Path
from shlex import quote

from toolkit.artifacts import digest_of_file
from toolkit.errors import RemoteError
from toolkit.progress import Progress, ProgressCallback, silent
from toolkit.remote.connection import Connection, ask, disk_or_shell

__all__ = ["fetch", "put", "remote_digest"]

_SLOWEST_BYTES_S = 50_000.0  # a transfer may take as long as a bad radio link would
_LEAST_S = 60.0
_TELL_EVERY = 1 << 20


def put(
    connection: Connection,
    local: Path,
    remote: str,
    *,
    part: str = "",
    progress: ProgressCallback = silent,
) -> None:
    """Copy `local` to `remote`, whose folder exists; go on where an earlier copy was cut off.

    `part` is the file there that holds it meanwhile, by default `remote` with an ending; two copies
    at once need two. Raises RemoteError when the device refuses or its disk is full,
    ConnectionError when cut.
    """
    digest = digest_of_file(local)
    if remote_digest(connection, remote) == digest:
        return
    part = part or f"{remote}.part"
    size = local.stat().st_size
    start = _already_there(connection, local, part)
    progress(Progress("push", start, size, local.name))
    with local.open("rb") as file:
        file.seek(start)
        operator = ">>" if start else ">"
        answer = connection.run(
            f"cat {operator} {quote(part)}", feed=file, timeout_s=_limit_s(size - start)
        )
    if answer.code != 0:
        raise _refused(connection, f"write {part}", answer.err)
    if remote_digest(connection, part) != digest:
        connection.run(f"rm -f {quote(part)}")
        raise RemoteError(
            f"{connection.address} received {local.name} altered.",
            next_command=connection.address.ssh,
        )
    ask(connection, f"mv -f {quote(part)} {quote(remote)}", what=f"rename {part}")
    progress(Progress("push", size, size, local.name))


def fetch(
    connection: Connection,
    remote: str,
    local: Path,
    *,
    digest: str,
    progress: ProgressCallback = silent,
) -> None:
    """Copy `remote` over `local`, a temporary file of the caller, and check its SHA-256.

    Raises RemoteError when the device cannot read it or other bytes arrive, ConnectionError when
    cut.
    """
    size = int(ask(connection, f"wc -c < {quote(remote)}", what=f"read {remote}"))
    told = 0
    with local.open("wb") as file:

        def keep(piece: bytes) -> None:
            nonlocal told
            file.write(piece)
            if file.tell() - told >= _TELL_EVERY or file.tell() == size:
                told = file.tell()
                progress(Progress("pull", told, size, Path(remote).name))

        answer = connection.run(f"cat {quote(remote)}", hear=keep, timeout_s=_limit_s(size))
    if answer.code != 0:
        raise _refused(connection, f"read {remote}", answer.err)
    if digest_of_file(local) != digest:
        raise RemoteError(
            f"{remote} came from {connection.address} altered.",
            next_command=connection.address.ssh,
        )


def remote_digest(connection: Connection, remote: str) -> str:
    """Return the SHA-256 of a file on the device; "" when there is none."""
    answer = connection.run(f"sha256sum < {quote(remote)}", timeout_s=_LEAST_S)
    return answer.text.split()[0] if answer.code == 0 else ""


def _already_there(connection: Connection, local: Path, part: str) -> int:
    """Return how many bytes of an earlier, interrupted copy are the first ones of `local`."""
    answer = connection.run(f"wc -c < {quote(part)} && sha256sum < {quote(part)}")
    words = answer.text.split()
    if answer.code != 0 or not 0 < int(words[0]) <= local.stat().st_size:
        return 0
    there = int(words[0])
    digest = hashlib.sha256()
    with local.open("rb") as file:
        left = there
        while left and (piece := file.read(min(left, 1 << 20))):
            digest.update(piece)
            left -= len(piece)
    return there if digest.hexdigest() == words[1] else 0


def _limit_s(size: int) -> float:
    return _LEAST_S + size / _SLOWEST_BYTES_S


def _refused(connection: Connection, what: str, said: str) -> RemoteError:
    return RemoteError(
        f"{connection.address} could not {what}: {' '.join(said.split())[-200:] or 'no reason'}.",
        next_command=disk_or_shell(connection.address, said),
    )
