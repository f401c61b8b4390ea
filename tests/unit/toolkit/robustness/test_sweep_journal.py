from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.unit.toolkit.colour_models import make_folder, make_model
from toolkit.compare import compare
from toolkit.errors import InputError
from toolkit.progress import Progress
from toolkit.robustness import Robustness

ROOT = Path(__file__).parents[4]
CELLS = 1 + 5
CODE = """
import sys, time
from pathlib import Path
from toolkit.cli import measuring  # what a user's process has loaded
from toolkit.compare import compare
a, b, images, journal = map(Path, sys.argv[1:])
compare(a, b, images=images, batch_size=2, corruptions=["gaussian_noise"], journal=journal,
        progress=lambda p: time.sleep(0.02))
"""


def swept(tmp_path: Path, journal: Path | None, seen: list[Progress] | None = None) -> Robustness:
    found = compare(
        tmp_path / "a.onnx",
        tmp_path / "b.onnx",
        images=tmp_path / "val",
        batch_size=2,
        corruptions=["gaussian_noise"],
        journal=journal,
        progress=(seen if seen is not None else []).append,
    ).robustness
    assert found is not None
    return found


def begun(tmp_path: Path, how: signal.Signals) -> Path:
    """Two models, 24 images, and the journal of a process that was ended by a signal."""
    make_model(tmp_path / "a.onnx")
    make_model(tmp_path / "b.onnx", answers=(0, 1, 1, 3))
    make_folder(tmp_path / "val", each=6)
    journal = tmp_path / "sweep.jsonl"
    files = [str(tmp_path / name) for name in ("a.onnx", "b.onnx", "val", "sweep.jsonl")]
    with subprocess.Popen(
        [sys.executable, "-c", CODE, *files], cwd=ROOT, stderr=subprocess.DEVNULL
    ) as process:
        end = time.monotonic() + 60
        while time.monotonic() < end and not (
            journal.exists() and journal.read_bytes().count(b"\n") > CELLS + 4
        ):
            time.sleep(0.005)
        os.kill(process.pid, how)
    assert process.returncode
    assert journal.exists(), "it was ended before it was done"
    return journal


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGKILL])
def test_an_interrupted_sweep_goes_on_and_loses_no_answer(
    tmp_path: Path, how: signal.Signals
) -> None:
    journal = begun(tmp_path, how)
    kept = journal.read_bytes().count(b"\n") - 1
    seen: list[Progress] = []
    found = swept(tmp_path, journal, seen)
    steps = [each for each in seen if each.step == "corrupt"]
    assert len(steps) == 12 * CELLS - kept
    assert (steps[0].done, steps[-1].done, steps[-1].total) == (2 * (kept + 1), 144, 144)
    assert found == swept(tmp_path, None)
    assert not journal.exists()


def test_a_line_that_was_cut_off_is_done_again(tmp_path: Path) -> None:
    journal = begun(tmp_path, signal.SIGKILL)
    content = journal.read_bytes()
    for cut in (1, 20, len(content.partition(b"\n")[2])):
        journal.write_bytes(content[:-cut])
        assert swept(tmp_path, journal) == swept(tmp_path, None)


def test_the_journal_of_another_sweep_is_refused_and_left_as_it_is(tmp_path: Path) -> None:
    journal = begun(tmp_path, signal.SIGKILL)
    content = journal.read_bytes()
    a, b, images = (tmp_path / name for name in ("a.onnx", "b.onnx", "val"))
    for change, says in (
        ({"seed": 1}, "seed differ"),
        ({"batch_size": 3}, "batch_size differ"),
        ({"corruptions": ["contrast"]}, "corruptions differ"),
        ({"limit": 8}, "images differ"),
    ):
        asked = {"batch_size": 2, "corruptions": ["gaussian_noise"], "seed": 0, **change}
        with pytest.raises(InputError, match=says):
            compare(a, b, images=images, journal=journal, **asked)  # type: ignore[arg-type]
    with pytest.raises(InputError, match="models differ"):
        compare(b, a, images=images, batch_size=2, corruptions=["gaussian_noise"], journal=journal)
    assert journal.read_bytes() == content


@pytest.mark.parametrize(
    ("edit", "says"),
    [
        (lambda lines: ["7", *lines[1:]], "no journal of a corruption sweep"),
        (lambda lines: [lines[0].replace('"version": 1', '"version": 9'), *lines[1:]], "newer"),
        (lambda lines: [*lines[:2], "{", *lines[2:]], "damaged or was edited"),
        (lambda lines: [lines[0], lines[2], lines[1]], "line 2 is not the answers"),
        (lambda lines: [lines[0], '["clean", 0, "1", "11"]'], "line 2 is not the answers"),
        (lambda lines: [lines[0], '["clean", 0, "12", "11"]'], "line 2 is not the answers"),
        (lambda lines: [lines[0], "7"], "damaged or was edited"),
        (lambda lines: [lines[0], *lines[1:7] * 13], "line 74 is not the answers"),
    ],
)
def test_a_damaged_journal_is_refused(
    tmp_path: Path, edit: Callable[[list[str]], list[str]], says: str
) -> None:
    journal = begun(tmp_path, signal.SIGKILL)
    journal.write_text("\n".join(edit(journal.read_text().splitlines())) + "\n")
    with pytest.raises(InputError, match=says) as said:
        swept(tmp_path, journal)
    assert said.value.next_command


def test_a_journal_without_corruptions_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="none is named") as said:
        compare(tmp_path / "a", tmp_path / "b", images=tmp_path, journal=tmp_path / "j")
    assert "--corruptions all" in (said.value.next_command or "")
