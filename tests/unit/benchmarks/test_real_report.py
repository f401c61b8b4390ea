from __future__ import annotations

import socket
from pathlib import Path

import pytest

from benchmarks.real_report import Settings, enter, private_words, step, without_pictures
from tests.unit.toolkit.report.examples import ordinary_report

SETTINGS = Settings(512, 0, 200, 1000, 60.0, 1)


def test_a_step_that_was_finished_is_not_done_again_and_one_that_failed_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    done: list[str] = []

    def fail() -> None:
        done.append("failed")
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        step("one", fail)
    for _ in range(2):
        step("one", lambda: done.append("made"))
    assert done == ["failed", "made"]


def test_a_working_folder_of_other_settings_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for _ in range(2):
        enter(tmp_path / "work", tmp_path, SETTINGS)
        assert Path.cwd() == tmp_path / "work"
    with pytest.raises(SystemExit, match="other settings"):
        enter(tmp_path / "work", tmp_path, Settings(256, 0, 200, 1000, 60.0, 1))


def test_the_report_holds_no_picture_of_the_data_set() -> None:
    made = ordinary_report()
    assert any(flip.thumbnail for one in made.flips for flip in one.flips)
    bare = without_pictures(made)
    assert not any(flip.thumbnail for one in bare.flips for flip in one.flips)
    assert [len(one.flips) for one in bare.flips] == [len(one.flips) for one in made.flips]


def test_folders_and_host_names_are_found_in_a_page(tmp_path: Path) -> None:
    assert private_words("val/n01440764/ILSVRC2012_val_00000293.JPEG", [tmp_path]) == []
    page = f"{tmp_path}/m.onnx on {socket.gethostname()}"
    assert private_words(page, [tmp_path]) == sorted({str(tmp_path), socket.gethostname()})
