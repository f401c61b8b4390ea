"""The journal of evaluations: complete after every step, and never taken for another's."""

from __future__ import annotations

from pathlib import Path

import pytest

from toolkit.errors import InputError
from toolkit.tune.journal import open_journal


def test_what_was_recorded_is_found_by_another_run(tmp_path: Path) -> None:
    first = open_journal(tmp_path / "j.json")
    assert first.find("right", "model", "images") is None
    first.record("0110", "right", "model", "images")
    first.record({"a": 0.5}, "ranking", "table")
    again = open_journal(tmp_path / "j.json")
    assert again.find("right", "model", "images") == "0110"
    assert again.find("ranking", "table") == {"a": 0.5}


def test_another_model_or_other_images_are_not_found(tmp_path: Path) -> None:
    journal = open_journal(tmp_path / "j.json")
    journal.record("01", "right", "model", "images")
    assert journal.find("right", "other", "images") is None
    assert journal.find("right", "model", "others") is None


@pytest.mark.parametrize("content", ["", "{", "[]", '{"kind": "else"}'])
def test_a_damaged_journal_says_how_to_start_again(tmp_path: Path, content: str) -> None:
    path = tmp_path / "j.json"
    path.write_text(content)
    with pytest.raises(InputError) as caught:
        open_journal(path)
    assert caught.value.next_command == f"rm {path}"
