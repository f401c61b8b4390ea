"""README's commands are run as they stand there, in order, in one folder."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.documents import blocks_of, run_block, why_not_run
from toolkit.accuracy import read_accuracy

ROOT = Path(__file__).resolve().parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")


BLOCKS = [block for block in blocks_of(README) if not block.program]
PROGRAMS = [block for block in blocks_of(README) if block.program]


def test_readme_has_commands_to_run() -> None:
    assert sum(len(block.commands) for block in BLOCKS if not block.reason_not_run) >= 8


def test_every_block_that_is_not_run_says_why() -> None:
    for block in BLOCKS:
        assert block.commands, f"the console block under {block.heading!r} has no `$ ` line"


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_the_five_minute_path_runs_as_written(tmp_path: Path) -> None:
    if why_not_run():
        pytest.skip(why_not_run())
    for package in ("torch", "tensorrt_rtx"):
        pytest.importorskip(package, reason=f"the README's path needs {package}")
    for block in BLOCKS:
        if not block.reason_not_run:
            run_block(block, tmp_path)
    fp32 = read_accuracy(tmp_path / "demo" / "runs" / "model.accuracy.json")
    assert 0.93 <= fp32.top1 <= 0.995, "the demo's signs are too hard or too easy to show a drop"
    for block in PROGRAMS:
        if not block.reason_not_run:
            run_block(block, tmp_path)


def test_every_verb_of_the_command_line_is_in_readme() -> None:
    from toolkit.cli.app import app

    verbs = {command.name for command in app.registered_commands}
    missing = {verb for verb in verbs if f"edgekit {verb}" not in README}
    assert not missing


def test_every_link_of_readme_leads_somewhere() -> None:
    for target in re.findall(r"\]\((?!https?:|#)([^)#]+)", README):
        assert (ROOT / target).exists(), f"README links to {target}, which does not exist"
