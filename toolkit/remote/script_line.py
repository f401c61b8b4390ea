"""Which trtexec command a build.sh will run, read from the script without running it.

The script asks `trtexec --help` for some options; the line is that of a trtexec which has all of
them, and `instead` says what stands there where one is missing.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

__all__ = ["ScriptLine", "script_line"]

_SET = re.compile(r"^(\s*)set -- (?:\"\$@\" )?(.*?)\s*$")
_IF = re.compile(r"^(if|elif) has '([^']+)'; then$")


@dataclass(frozen=True)
class ScriptLine:
    """What is run. `certain` are the options that every TensorRT is given."""

    certain: tuple[str, ...]
    words: tuple[str, ...]
    """All options, as a trtexec that has them is given them."""
    instead: tuple[str, ...]
    """For each option that older or newer versions lack: what they are given."""

    @property
    def text(self) -> str:
        """Return the command line."""
        return " ".join(["trtexec", *self.words])


def script_line(script: str) -> ScriptLine:
    """Return the command that the text of a build.sh ends in."""
    certain: list[str] = []
    words: list[str] = []
    instead: list[str] = []
    asked = ""
    branch = 0
    for line in script.splitlines():
        condition = _IF.match(line)
        if condition:
            branch = 0 if condition[1] == "if" else branch + 1
            asked = condition[2].strip() if branch == 0 else asked
        elif line == "else":
            branch += 1
        elif line == "fi":
            if asked and branch == 0:
                instead.append(f"no {asked}: left out")
            asked = ""
        match = _SET.match(line)
        if match is None:
            continue
        if not match[1]:
            certain += match[2].split()
            words += match[2].split()
        elif branch == 0:
            words += match[2].split()
        else:
            instead.append(f"no {asked}: {match[2]}")
    return ScriptLine(tuple(certain), tuple(words), tuple(instead))
