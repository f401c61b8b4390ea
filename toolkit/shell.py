"""Words for a shell: the next command of an error is there to be copied."""

from __future__ import annotations

import os
import shlex
from pathlib import Path

__all__ = ["quoted", "word"]


def quoted(path: Path | str) -> str:
    """Return a file name as one word of bash that no command takes for an option."""
    text = str(path)
    return word(f"./{text}" if text.startswith("-") else text)


def word(text: str) -> str:
    """Return `text` as one word of bash on one line, whatever characters are in it."""
    if text.isprintable():
        return shlex.quote(text)
    return f"$'{''.join(_escaped(character) for character in text)}'"


def _escaped(character: str) -> str:
    if character in "'\\":
        return f"\\{character}"
    if character.isprintable():
        return character
    return "".join(f"\\x{byte:02x}" for byte in os.fsencode(character))
