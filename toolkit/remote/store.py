"""The engines that a device keeps between measurements, each under its digest."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from shlex import quote

from toolkit.progress import ProgressCallback
from toolkit.remote.connection import Connection, ask
from toolkit.remote.link import Link
from toolkit.remote.preflight import check_room
from toolkit.remote.transfer import put, remote_digest

__all__ = ["OLD", "keep_there"]

OLD = "-mtime +14"
"""For `find`: what runs that were given up left so many days ago."""


def keep_there(
    link: Link,
    engines: Sequence[tuple[Path, str]],
    *,
    run: str,
    folder: str,
    free_mib: int,
    progress: ProgressCallback,
) -> tuple[str, ...]:
    """Return where the device has each engine, given with its digest, below `folder`, its own.

    What it does not have is brought there; a copy that was cut off is gone on with under the same
    `run`, for another one may be copying the same engine at this moment. Raises RemoteError when
    there is no room for all that.
    """
    store = f"{folder}/engines"
    make = f"mkdir -p {quote(store)} && find {quote(store)} -name '*.part' {OLD} -exec rm -f {{}} +"
    link.step(lambda there: ask(there, make, what=f"make {store}"))
    places = tuple(f"{store}/{digest[:16]}.engine" for _, digest in engines)
    missing = {
        place: engine
        for place, (engine, digest) in zip(places, engines, strict=True)
        if not _is_there(link, place, digest)
    }
    parts = {place: f"{place}.{run}.part" for place in missing}
    if missing:
        left = sum(_left_to_send(link, missing[place], part) for place, part in parts.items())
        link.step(lambda there: check_room(there, left, free_mib=free_mib))
    for place, engine in missing.items():
        _bring(link, engine, place, parts[place], progress)
    return places


def _is_there(link: Link, place: str, digest: str) -> bool:
    return link.step(lambda there: remote_digest(there, place)) == digest


def _left_to_send(link: Link, engine: Path, part: str) -> int:
    """Return the bytes of `engine` without what a copy that was cut off has written already."""

    def written(there: Connection) -> int:
        answer = there.run(f"wc -c < {quote(part)}")
        return int(answer.text) if answer.code == 0 else 0

    return max(0, engine.stat().st_size - link.step(written))


def _bring(link: Link, engine: Path, place: str, part: str, progress: ProgressCallback) -> None:
    link.step(lambda there: put(there, engine, place, part=part, progress=progress))
