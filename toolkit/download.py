"""Fetch a file over HTTP: resumed where it broke off, and kept only if its checksum is right."""

from __future__ import annotations

import errno
import fcntl
import hashlib
import http.client
import os
import re
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import BinaryIO
from urllib.error import HTTPError, URLError
from urllib.request import Request, urlopen

from toolkit.errors import InputError, MachineError
from toolkit.progress import Progress, ProgressCallback, silent
from toolkit.shell import quoted

__all__ = ["MAX_BYTES", "download"]

MAX_BYTES = 8 << 30
"""A server that sends more is not sending the data sets we know."""

_CHUNK = 1 << 18
_ATTEMPTS = 5
_TIMEOUT_S = 30.0


class _BrokenOffError(Exception):
    """The connection ended early; what arrived is kept."""


def download(
    url: str,
    path: Path,
    *,
    checksums: tuple[str, ...],
    progress: ProgressCallback = silent,
    sleep: Callable[[float], None] = time.sleep,
) -> str:
    """Fetch `url` to `path` and return the checksum it has, one of `checksums` ("md5:...").

    Bytes that `path` holds already are not fetched again: a later call goes on where an earlier
    one ended, also after a kill. Five attempts are made, with `sleep` between them. Raises
    InputError when the server has no such file or cannot be reached, and, removing `path`, when
    the checksum is wrong; MachineError when `path` cannot be written.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("ab") as file:
            _lock(file, path)
            _fetch(url, file, progress, sleep)
            os.fsync(file.fileno())
    except OSError as error:
        raise _cannot_write(path, error) from error
    return _checked(url, path, checksums, progress)


def _lock(file: BinaryIO, path: Path) -> None:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        raise InputError(
            f"{path} is being fetched by another process.", next_command=f"ls -l {quoted(path)}"
        ) from error


def _fetch(
    url: str, file: BinaryIO, progress: ProgressCallback, sleep: Callable[[float], None]
) -> None:
    for attempt in range(1, _ATTEMPTS + 1):
        try:
            _continue(url, file, progress)
        except _BrokenOffError as error:
            if attempt == _ATTEMPTS:
                raise InputError(
                    f"{url} broke off {_ATTEMPTS} times, the last time after {file.tell():,} "
                    f"bytes ({error}). What arrived is kept.",
                    next_command=f"curl -I {quoted(url)}   (then run the same command again)",
                ) from error
            sleep(2.0 ** (attempt - 1))
        else:
            return


def _continue(url: str, file: BinaryIO, progress: ProgressCallback) -> None:
    """Append what is missing. Raises _BrokenOffError when the connection ends early."""
    have = file.seek(0, os.SEEK_END)
    response = _open(url, have)
    if response is None:
        return
    with response:
        total = _total(response, have)
        if total is None:  # the server sends everything, whatever was asked for
            have, total = 0, int(response.headers.get("Content-Length") or 0)
            file.truncate(0)
        for chunk in _chunks(response):
            file.write(chunk)
            have += len(chunk)
            if have > MAX_BYTES:
                raise InputError(
                    f"{url} is larger than {MAX_BYTES:,} bytes: stopped.",
                    next_command=f"rm {quoted(file.name)}",
                )
            progress(Progress("fetch", have >> 20, max(have, total) >> 20, "MiB"))
    file.flush()
    if have < total:
        raise _BrokenOffError(f"{have:,} of {total:,} bytes arrived")


def _open(url: str, have: int) -> http.client.HTTPResponse | None:
    """Ask for the file from byte `have` on; None if there is nothing more."""
    request = Request(url, headers={"Range": f"bytes={have}-"} if have else {})
    try:
        response: http.client.HTTPResponse = urlopen(request, timeout=_TIMEOUT_S)
    except HTTPError as error:
        error.close()
        if error.code == 416 and have:  # whether that is all of it, the checksum decides
            return None
        if error.code >= 500:
            raise _BrokenOffError(f"the server answers {error.code}") from error
        raise InputError(
            f"{url} cannot be fetched: the server answers {error.code} {error.reason}.",
            next_command=f"curl -I {quoted(url)}",
        ) from error
    except URLError as error:
        raise _BrokenOffError(error.reason) from error
    except (OSError, http.client.HTTPException) as error:
        raise _BrokenOffError(error) from error
    return response


def _chunks(response: http.client.HTTPResponse) -> Iterator[bytes]:
    try:
        while chunk := response.read(_CHUNK):
            yield chunk
    except (OSError, http.client.HTTPException) as error:
        raise _BrokenOffError(error) from error


def _total(response: http.client.HTTPResponse, have: int) -> int | None:
    """Return the size of the whole file if the answer starts at byte `have`, else None."""
    if response.status != 206:
        return None
    found = re.fullmatch(r"bytes (\d+)-\d+/(\d+)", response.headers.get("Content-Range", ""))
    if found is None or int(found[1]) != have:
        raise _BrokenOffError("the server sends another part than was asked for")
    return int(found[2])


def _checked(url: str, path: Path, checksums: tuple[str, ...], progress: ProgressCallback) -> str:
    kinds = {checksum.partition(":")[0] for checksum in checksums}
    # MD5 finds damage, not malice; https and a bounded, checked extraction are there for that.
    digests = {kind: hashlib.new(kind, usedforsecurity=False) for kind in kinds}
    size, done = path.stat().st_size, 0
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK << 4):
            for digest in digests.values():
                digest.update(chunk)
            done += len(chunk)
            progress(Progress("check", done >> 20, size >> 20, "MiB"))
    found = [f"{kind}:{digest.hexdigest()}" for kind, digest in sorted(digests.items())]
    for checksum in found:
        if checksum in checksums:
            return checksum
    path.unlink()
    raise InputError(
        f"What {url} sent ({size:,} bytes, {', '.join(found)}) is not what was published "
        f"({' or '.join(checksums)}), and was removed.",
        next_command=f"curl -I {quoted(url)}",
    )


def _cannot_write(path: Path, error: OSError) -> MachineError:
    if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
        return MachineError(
            f"The disk that holds {path.parent} is full: {path.name} is not complete.",
            next_command=f"df -h {quoted(path.parent)}",
        )
    return MachineError(
        f"{path} cannot be written: {error.strerror or error}.",
        next_command=f"ls -ld {quoted(path.parent)}",
    )
