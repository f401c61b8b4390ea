"""Find the Edgekit of a device that can time engines for us, or say why there is none."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import PurePosixPath
from shlex import quote

import toolkit
from toolkit.remote.build_script import WHERE_TRTEXEC
from toolkit.remote.connection import Address, Connection, ask
from toolkit.remote.preflight import OUR_FOLDER

__all__ = ["TheirEdgekit", "find_edgekit", "install_command"]

# No login shell is started, so its PATH is short: pip --user, pipx and uv put commands into
# ~/.local/bin, ~/edgekit is the environment of `install_command`, the last a clone after `make`.
_PLACES = ("", "~/.local/bin/", "~/edgekit/bin/", "~/edgekit/.venv/bin/")
_VENV = "edgekit"
_ANSWER_S = 60.0  # Python from a cold SD card
_LOOK = """\
echo "home $HOME"
echo "disk $(df -Pk "$HOME" | tail -n 1)"
{where_trtexec}echo "trtexec $trtexec"
cd "$HOME" || exit
edgekit=
for place in {places}; do
  case $place in */*) [ ! -d "$place" ] || continue ;; esac
  [ -n "$edgekit" ] || edgekit=$(command -v "$place" || :)
done
[ -n "$edgekit" ] || exit 0
case $edgekit in /*) ;; *) edgekit=$PWD/$edgekit ;; esac
echo "edgekit $edgekit"
pip=$(dirname "$edgekit")/pip
[ ! -x "$pip" ] || echo "pip $pip"
echo "version $("$edgekit" --version 2>&1 < /dev/null | tail -n 1)"
"""


@dataclass(frozen=True)
class TheirEdgekit:
    """What the device has. `why_not` is a clause without subject, "" when it can be used."""

    command: str
    version: str
    pip: str
    """The pip beside the command, which installs for the same Python; "" where there is none."""
    trtexec: str
    folder: str
    """Where Edgekit keeps its files there."""
    disk_free_mib: int
    why_not: str

    def there(self, command: str, address: Address) -> str:
        """Return the command line that runs `command`, as that Edgekit named it, over there."""
        first, space, rest = command.partition(" ")
        full = {"edgekit": self.command, "pip": self.pip}.get(first) or first
        return f"{address.ssh} {quote(f'{full}{space}{rest}')}"


def find_edgekit(connection: Connection, *, given: str = "") -> TheirEdgekit:
    """Return the Edgekit of the device, the first that is found.

    `given` is a command or an environment there, and then no other is looked for. A version that
    shares our first two numbers will do: options, records and the way of measuring change only with
    these. Raises RemoteError when the device does not answer.
    """
    named = (f"{given}/bin/edgekit", given) if given else [f"{each}edgekit" for each in _PLACES]
    script = _LOOK.format(where_trtexec=WHERE_TRTEXEC, places=" ".join(map(_in_home, named)))
    told = ask(connection, script, what="say what it has", timeout_s=_ANSWER_S)
    answers = dict(line.split(" ", 1) for line in told.splitlines() if " " in line)
    disk = answers.get("disk", "").split()
    version = answers.get("version", "")
    match = re.fullmatch(r"edgekit (\d[\w.+]*)", version)
    command = answers.get("edgekit", "")
    if not command:
        why_not = f"has no Edgekit at {given}" if given else "has no Edgekit"
    elif match is None:
        why_not = f"has {command}, which answers {version[-120:]!r} instead of its version"
    elif not _goes_with_ours(match[1]):
        why_not = f"has Edgekit {match[1]}, where this one takes {_ours()}.x"
    else:
        why_not = ""
    return TheirEdgekit(
        command=command,
        version=match[1] if match else "",
        pip=answers.get("pip", ""),
        trtexec=answers.get("trtexec", ""),
        folder=f"{answers.get('home', '')}/{OUR_FOLDER}",
        disk_free_mib=int(disk[3]) // 1024 if len(disk) > 4 else 0,
        why_not=why_not,
    )


def install_command(found: TheirEdgekit, address: Address, *, extras: str = "") -> str:
    """Return the command that installs an Edgekit which will be found."""
    package = f'"edgekit{extras}~={_ours()}.0"'
    if found.pip:
        return f"{address.ssh} {quote(f'{found.pip} install {package}')}"
    pip = PurePosixPath(_VENV, "bin", "pip")
    return f"{address.ssh} {quote(f'python3 -m venv {_VENV} && {pip} install {package}')}"


def _in_home(place: str) -> str:
    return f'"$HOME"/{quote(place[2:])}' if place.startswith("~/") else quote(place)


def _ours() -> str:
    return ".".join(toolkit.__version__.split(".")[:2])


def _goes_with_ours(version: str) -> bool:
    return version.split(".")[:2] == _ours().split(".")
