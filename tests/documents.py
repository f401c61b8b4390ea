"""Commands and programs of a page, in the order of the page, run as they stand there."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

__all__ = ["Block", "Command", "blocks_of", "run_block", "why_not_run"]

NOT_RUN = re.compile(r"<!-- not run by the test: (?P<reason>[^>]+) -->\s*$")
_BLOCK = re.compile(r"```(console|python)\n(.*?)```", flags=re.DOTALL)
_COMMAND = re.compile(r"^\$ (.+?)(?:\s{2,}# ?(.*))?$", flags=re.MULTILINE)
_EXIT = re.compile(r"^exits with (\d+)")


@dataclass(frozen=True)
class Command:
    """A line of a console block; the page says so where it exits with another code than 0."""

    text: str
    exit_code: int = 0


@dataclass(frozen=True)
class Block:
    """A ```console block with its commands, or a ```python block with its program."""

    heading: str
    reason_not_run: str
    commands: tuple[Command, ...] = ()
    program: str = ""


def blocks_of(text: str) -> list[Block]:
    """Return the blocks of a page in Markdown."""
    blocks = []
    for match in _BLOCK.finditer(text):
        before = text[: match.start()].rstrip()
        marker = NOT_RUN.search(before)
        headings = re.findall(r"^#+ (.+)$", before, flags=re.MULTILINE)
        python = match[1] == "python"
        commands = () if python else tuple(_command(*each) for each in _COMMAND.findall(match[2]))
        blocks.append(
            Block(
                headings[-1] if headings else "",
                marker["reason"] if marker else "",
                commands,
                match[2] if python else "",
            )
        )
    return blocks


def _command(text: str, comment: str) -> Command:
    exits = _EXIT.match(comment)
    return Command(text, int(exits[1]) if exits else 0)


def why_not_run() -> str:
    """Return why pages cannot be run here, or ""."""
    installed = (Path(sys.executable).parent / "edgekit").exists()
    return "" if installed else "edgekit is not installed as a command here"


def run_block(block: Block, folder: Path) -> None:
    """Run `block` in `folder`; a command that exits with another code fails the test."""
    here = Path(sys.executable).parent
    environment = {**os.environ, "PATH": f"{here}:{os.environ['PATH']}"}
    wanted = [(shlex.split(each.text), each.exit_code, f"$ {each.text}") for each in block.commands]
    if block.program:
        wanted = [([sys.executable, "-c", block.program], 0, block.program)]
    for words, code, shown in wanted:
        run = subprocess.run(
            words, cwd=folder, env=environment, capture_output=True, text=True, check=False
        )
        assert run.returncode == code, f"{shown}\n{run.stdout}\n{run.stderr}"
