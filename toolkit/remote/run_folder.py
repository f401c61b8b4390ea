"""The folder in which one measurement works on the device: what lives in it, and its end."""

from __future__ import annotations

from shlex import quote

from toolkit.errors import RemoteError
from toolkit.progress import Progress, ProgressCallback
from toolkit.remote.link import Link

__all__ = ["WORKS_HERE", "is_given_up", "remove_folder"]

# A number in `pid` may belong to another process by now: ours works in the folder.
WORKS_HERE = """\
works_here() {
  [ -f pid ] && [ "$(readlink "/proc/$(cat pid 2> /dev/null)/cwd")" = "$(pwd -P)" ]
}
"""
"""A function of sh: whether the process whose number is in `pid` works in the current folder."""

_REMOVE = """\
cd {folder} 2> /dev/null || exit 0
! works_here || kill "$(cat pid)" 2> /dev/null
cd / && rm -rf {folder}
"""


def is_given_up(reason: BaseException) -> bool:
    """Return whether the connection was lost: the next command goes on with what is there."""
    return isinstance(reason.__cause__, ConnectionError)


def remove_folder(link: Link, folder: str, progress: ProgressCallback) -> None:
    """End what works in `folder` and remove it. Where that fails only the progress says so."""
    script = WORKS_HERE + _REMOVE.format(folder=quote(folder))
    try:
        link.step(lambda there: there.run(script))
    except RemoteError as error:  # how the measurement ended is known: what is left harms nobody
        progress(Progress("clean up", 0, 1, f"{folder} stays there: {error.message}"))
