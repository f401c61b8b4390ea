from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.unit.toolkit.colour_models import make_folder, make_model
from toolkit.errors import InputError
from toolkit.progress import Progress, ProgressCallback
from toolkit.score import score


class StopError(Exception):
    """Stands for whatever ends a run."""


def stop_after(images: int) -> ProgressCallback:
    def stop(progress: Progress) -> None:
        if progress.step == "score" and progress.done >= images:
            raise StopError

    return stop


def begun(tmp_path: Path, images: int = 6) -> tuple[Path, Path, Path]:
    """A model, a folder of 24 images and the journal of a run that was stopped."""
    model, folder = make_model(tmp_path / "m.onnx"), make_folder(tmp_path / "val", each=6)
    journal = tmp_path / "j.jsonl"
    with pytest.raises(StopError):
        score(model, images=folder, batch_size=2, journal=journal, progress=stop_after(images))
    return model, folder, journal


def test_a_stopped_score_goes_on_with_the_same_result(tmp_path: Path) -> None:
    model, folder, journal = begun(tmp_path)
    assert len(journal.read_text().splitlines()) == 1 + 3
    seen: list[Progress] = []
    found = score(model, images=folder, batch_size=2, journal=journal, progress=seen.append)
    assert next(each for each in seen if each.step == "score").done == 8
    assert found == score(model, images=folder, batch_size=2)
    assert not journal.exists()


def test_a_line_that_was_cut_off_is_scored_again(tmp_path: Path) -> None:
    model, folder, journal = begun(tmp_path)
    content = journal.read_bytes()
    batches = content.partition(b"\n")[2]
    for cut in (1, 40, len(batches) - 1, len(batches)):
        journal.write_bytes(content[:-cut])
        found = score(model, images=folder, batch_size=2, journal=journal)
        assert found == score(model, images=folder, batch_size=2)


def test_a_killed_process_goes_on_with_the_same_result(tmp_path: Path) -> None:
    model, folder = make_model(tmp_path / "m.onnx"), make_folder(tmp_path / "val", each=60)
    journal = tmp_path / "j.jsonl"
    code = (
        "import sys, time\nfrom pathlib import Path\nfrom toolkit.score import score\n"
        "score(Path(sys.argv[1]), images=Path(sys.argv[2]), batch_size=2,"
        " journal=Path(sys.argv[3]), progress=lambda p: time.sleep(0.01))"
    )
    command = [sys.executable, "-c", code, *map(str, (model, folder, journal))]
    with subprocess.Popen(command, cwd=Path(__file__).parents[3]) as process:
        end = time.monotonic() + 30
        while time.monotonic() < end and not (
            journal.exists() and journal.read_bytes().count(b"\n") > 5
        ):
            time.sleep(0.005)
        os.kill(process.pid, signal.SIGKILL)
    assert journal.exists(), "it was killed before it was done"
    found = score(model, images=folder, batch_size=2, journal=journal)
    assert found == score(model, images=folder, batch_size=2)


def test_a_journal_of_something_else_is_refused_and_left_as_it_is(tmp_path: Path) -> None:
    model, folder, journal = begun(tmp_path)
    content = journal.read_bytes()
    with pytest.raises(InputError, match="batch_size differ"):
        score(model, images=folder, batch_size=3, journal=journal)
    other = make_model(tmp_path / "other.onnx", gain=9.0)
    with pytest.raises(InputError, match="model differ"):
        score(other, images=folder, batch_size=2, journal=journal)
    (folder / "red" / "0.png").unlink()
    with pytest.raises(InputError, match="images differ"):
        score(model, images=folder, batch_size=2, journal=journal)
    assert journal.read_bytes() == content


@pytest.mark.parametrize(
    ("edit", "says"),
    [
        (lambda lines: ["[1, 2]", *lines[1:]], "no journal of a score"),
        (lambda lines: [lines[0].replace('"version": 1', '"version": 9'), *lines[1:]], "newer"),
        (lambda lines: [*lines[:2], "{", *lines[2:]], "damaged or was edited"),
        (lambda lines: [lines[0], lines[2], lines[1]], "images are not those"),
        (lambda lines: [lines[0], lines[1].replace('"rank": 0', '"rank": "0"')], "rank"),
        (lambda lines: [lines[0], '[{"image": "x"}]'], "damaged or was edited"),
    ],
)
def test_a_damaged_journal_is_refused(tmp_path: Path, edit: object, says: str) -> None:
    model, folder, journal = begun(tmp_path)
    lines = journal.read_text().splitlines()
    journal.write_text("\n".join(edit(lines)) + "\n")  # type: ignore[operator]
    with pytest.raises(InputError, match=says) as said:
        score(model, images=folder, batch_size=2, journal=journal)
    assert said.value.next_command


def test_a_journal_in_a_new_folder_is_made(tmp_path: Path) -> None:
    model, folder = make_model(tmp_path / "m.onnx"), make_folder(tmp_path / "val")
    found = score(model, images=folder, journal=tmp_path / "new" / "j.jsonl")
    assert json.loads(json.dumps(found.to_dict()))["n"] == 12
