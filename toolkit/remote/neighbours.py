"""Whether another measurement runs on the device meanwhile: the figures would be of both."""

from __future__ import annotations

from shlex import quote

from toolkit.remote.connection import ask
from toolkit.remote.link import Link

__all__ = ["disturbances", "is_another_running"]

# A number in `pid` may belong to another process by now: a measurement works in its folder.
_LOOK = """\
for pid in {runs}/*/pid; do
  folder=$(dirname "$pid")
  [ "$folder" != {own} ] && [ ! -f "$folder/rc" ] || continue
  there=$(cd "$folder" 2> /dev/null && pwd -P) || continue
  [ "$(readlink "/proc/$(cat "$pid" 2> /dev/null)/cwd")" = "$there" ] && echo "$folder"
done
:
"""


def is_another_running(link: Link, folder: str) -> bool:
    """Return whether a measurement runs beside the one in `folder`, now."""
    script = _LOOK.format(runs=quote(folder.rpartition("/")[0]), own=quote(folder))
    found = link.step(lambda there: ask(there, script, what="say what runs there"))
    return bool(found)


def disturbances(link: Link, *, another: bool) -> tuple[str, ...]:
    """Return what speaks against figures that were taken while `another` measurement ran."""
    where = link.address
    return (
        (f"another measurement ran on {where}: measure again when it has ended",) if another else ()
    )
