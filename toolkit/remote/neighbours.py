"""Whether another measurement runs on the device meanwhile: the figures would be of both."""

from __future__ import annotations

from shlex import quote

from toolkit.errors import RemoteError
from toolkit.remote.connection import ask
from toolkit.remote.link import Link
from toolkit.remote.run_folder import WORKS_HERE

__all__ = ["ALIVE", "disturbances", "meet_neighbours"]

ALIVE = "alive"
"""The file that a measurement without a process renews: between two turns trtexec has none."""

_ALIVE_MIN = 5
# Each marks itself first and looks then, so that of two at once at least one sees the other.
_START = f"""\
works_here || [ -f rc ] || rm -f disturbed
: > {ALIVE}
"""
# Who sees a neighbour tells it, too: it may look only after this measurement has ended.
_LOOK = """\
for folder in {runs}/*/; do
  [ "$folder" != {own}/ ] || continue
  (
    cd "$folder" 2> /dev/null && [ ! -f rc ] &&
    {{ works_here || [ -n "$(find {alive} -mmin -{minutes} 2> /dev/null)" ]; }} && : > disturbed
  ) && : > disturbed
done
[ ! -f disturbed ] || echo disturbed
"""


def meet_neighbours(link: Link, folder: str, *, starts: bool = True) -> bool:
    """Return whether a measurement runs, or ran, beside the one in `folder`; tell it of this one.

    `starts`: this one begins now, in a folder that is made where it is missing.
    """
    runs, own = quote(folder.rpartition("/")[0]), quote(folder)
    look = _LOOK.format(runs=runs, own=own, alive=ALIVE, minutes=_ALIVE_MIN)
    head = f"mkdir -p {own} && cd {own} || exit\n{WORKS_HERE}"
    script = head + (_START if starts else "") + look
    return bool(link.step(lambda there: ask(there, script, what="say what runs there")))


def disturbances(link: Link, folder: str) -> tuple[str, ...]:
    """Return what speaks against the figures of the measurement in `folder`, which has ended."""
    where = link.address
    try:
        if meet_neighbours(link, folder, starts=False):
            return (f"another measurement ran on {where}: measure again when it has ended",)
    except RemoteError as error:  # the figures are here
        why = str(error.__cause__ or error.message).rstrip(".")
        return (f"whether another measurement ran on {where} is not known: {why}",)
    return ()
