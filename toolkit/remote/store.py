"""The engines that a device keeps between measurements, each under its digest."""

from __future__ import annotations

import signal
from collections.abc import Iterable, Sequence
from pathlib import Path
from shlex import quote

from toolkit.errors import RemoteError
from toolkit.progress import Progress, ProgressCallback
from toolkit.remote.connection import Connection, ask
from toolkit.remote.link import Link
from toolkit.remote.preflight import check_room
from toolkit.remote.run_folder import is_given_up
from toolkit.remote.transfer import put, remote_digest
from toolkit.stop_signals import signals_to

__all__ = ["keep_there"]

# What was given up so many days ago goes, before it is asked what room there is.
_SWEEP = """\
mkdir -p {store} {runs} && df -Pk {store} | tail -n 1
find {store} -name '*.part' {old} -exec rm -f {{}} +
find {runs} -mindepth 1 -maxdepth 1 {old} ! -name {own} -exec rm -rf {{}} +
df -Pk {store} | tail -n 1
"""
_OLD = "-mtime +14"


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
    `run`, for another one may be copying the same engine at this moment. What ends in another way
    leaves none of its own. What others gave up long ago is removed first; `free_mib` is the room
    before that. Raises RemoteError when there is no room for all that.
    """
    store = f"{folder}/engines"
    free_mib += _sweep(link, store, f"{folder}/runs", run)
    places = tuple(f"{store}/{digest[:16]}.engine" for _, digest in engines)
    missing = {
        place: engine
        for place, (engine, digest) in zip(places, engines, strict=True)
        if not _is_there(link, place, digest)
    }
    parts = {place: f"{place}.{run}.part" for place in missing}
    try:
        with signals_to(signal.default_int_handler):
            _bring_all(link, missing, parts, free_mib, progress)
    except BaseException as reason:
        if not is_given_up(reason):
            _remove(link, parts.values(), progress)
        raise
    return places


def _sweep(link: Link, store: str, runs: str, run: str) -> int:
    """Remove what was given up long ago; return the MiB that this gave back."""
    script = _SWEEP.format(store=quote(store), runs=quote(runs), own=quote(f"{run}*"), old=_OLD)
    told = link.step(lambda there: ask(there, script, what=f"make {store}"))
    before, after = (int(line.split()[3]) for line in told.splitlines())
    return max(0, after - before) // 1024


def _remove(link: Link, parts: Iterable[str], progress: ProgressCallback) -> None:
    script = f"rm -f {' '.join(map(quote, parts))}"
    try:
        link.step(lambda there: there.run(script))
    except RemoteError as error:  # the reason why they are not needed is what counts
        progress(Progress("clean up", 0, 1, f"unfinished copies stay there: {error.message}"))


def _bring_all(
    link: Link,
    missing: dict[str, Path],
    parts: dict[str, str],
    free_mib: int,
    progress: ProgressCallback,
) -> None:
    if missing:
        left = sum(_left_to_send(link, missing[place], part) for place, part in parts.items())
        link.step(lambda there: check_room(there, left, free_mib=free_mib))
    for place, engine in missing.items():
        _bring(link, engine, place, parts[place], progress)


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
