"""The engines that a device keeps between measurements, each under its digest."""

from __future__ import annotations

from pathlib import Path
from shlex import quote

from toolkit.progress import ProgressCallback
from toolkit.remote.connection import ask
from toolkit.remote.link import Link
from toolkit.remote.preflight import check_room
from toolkit.remote.transfer import put

__all__ = ["keep_there"]


def keep_there(
    link: Link,
    engine: Path,
    digest: str,
    *,
    folder: str,
    free_mib: int,
    progress: ProgressCallback,
) -> str:
    """Return where the device has `engine` below `folder`, its own; it is brought there if need be.

    Raises RemoteError when there is no room.
    """
    store = f"{folder}/engines"
    remote = f"{store}/{digest[:16]}.engine"
    size = engine.stat().st_size
    make = f"mkdir -p {quote(store)}"
    link.step(lambda there: check_room(there, size, free_mib=free_mib))
    link.step(lambda there: ask(there, make, what=f"make {store}"))
    link.step(lambda there: put(there, engine, remote, progress=progress))
    return remote
