"""README's commands are run as they stand there, in order, in one folder."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from toolkit.accuracy import read_accuracy

ROOT = Path(__file__).resolve().parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")
NOT_RUN = re.compile(r"<!-- not run by the test: (?P<reason>[^>]+) -->\s*$")


@dataclass(frozen=True)
class Block:
    heading: str
    reason_not_run: str
    commands: tuple[str, ...]


def _blocks(text: str) -> list[Block]:
    blocks = []
    for match in re.finditer(r"```console\n(.*?)```", text, flags=re.DOTALL):
        before = text[: match.start()].rstrip()
        marker = NOT_RUN.search(before)
        heading = re.findall(r"^#+ (.+)$", before, flags=re.MULTILINE)
        commands = re.findall(r"^\$ (.+?)(?:\s{2,}#.*)?$", match.group(1), flags=re.MULTILINE)
        blocks.append(
            Block(
                heading[-1] if heading else "",
                marker.group("reason") if marker else "",
                tuple(commands),
            )
        )
    return blocks


BLOCKS = _blocks(README)


def test_readme_has_commands_to_run() -> None:
    assert sum(len(block.commands) for block in BLOCKS if not block.reason_not_run) >= 8


def test_every_block_that_is_not_run_says_why() -> None:
    for block in BLOCKS:
        assert block.commands, f"the console block under {block.heading!r} has no `$ ` line"


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_the_five_minute_path_runs_as_written(tmp_path: Path) -> None:
    if not (Path(sys.executable).parent / "edgekit").exists():
        pytest.skip("edgekit is not installed as a command here")
    for package in ("torch", "tensorrt_rtx"):
        pytest.importorskip(package, reason=f"the README's path needs {package}")
    environment = {**os.environ, "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}
    for block in BLOCKS:
        if block.reason_not_run:
            continue
        for command in block.commands:
            run = subprocess.run(
                shlex.split(command),
                cwd=tmp_path,
                env=environment,
                capture_output=True,
                text=True,
                check=False,
            )
            assert run.returncode == 0, f"$ {command}\n{run.stdout}\n{run.stderr}"
    fp32 = read_accuracy(tmp_path / "demo" / "runs" / "model.accuracy.json")
    assert 0.93 <= fp32.top1 <= 0.995, "the demo's signs are too hard or too easy to show a drop"
    for number, program in enumerate(re.findall(r"```python\n(.*?)```", README, flags=re.DOTALL)):
        (tmp_path / f"program{number}.py").write_text(program, encoding="utf-8")
        run = subprocess.run(
            [sys.executable, f"program{number}.py"],
            cwd=tmp_path,
            env=environment,
            capture_output=True,
            text=True,
            check=False,
        )
        assert run.returncode == 0, f"{program}\n{run.stdout}\n{run.stderr}"


def test_every_verb_of_the_command_line_is_in_readme() -> None:
    from toolkit.cli.app import app

    verbs = {command.name for command in app.registered_commands}
    missing = {verb for verb in verbs if f"edgekit {verb}" not in README}
    assert not missing


def test_every_link_of_readme_leads_somewhere() -> None:
    for target in re.findall(r"\]\((?!https?:|#)([^)#]+)", README):
        assert (ROOT / target).exists(), f"README links to {target}, which does not exist"
