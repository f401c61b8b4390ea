from __future__ import annotations

import hashlib
import itertools
from pathlib import Path

import numpy as np
import pytest

from toolkit.datasets.sign_drawings import sign_drawing
from toolkit.datasets.sign_scenes import background, draw_scene, random_look
from toolkit.datasets.signs import SIGNS, make_signs, open_signs, sign_frames
from toolkit.errors import InputError, LabelsError
from toolkit.images import read_image
from toolkit.progress import Progress


def digests(root: Path) -> dict[str, str]:
    return {
        str(path.relative_to(root)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(root.rglob("*.*"))
        if path.is_file()
    }


def test_ten_classes_are_drawn_equally_often_and_at_the_size_asked_for(tmp_path: Path) -> None:
    data = make_signs(tmp_path / "signs", train=30, val=20, size=32)
    train, val = open_signs(data.train), open_signs(data.val)
    assert (len(train.images), len(val.images)) == (30, 20)
    assert train.classes == SIGNS == tuple(sorted(SIGNS))
    assert [image.label for image in val.images] == [i for i in range(10) for _ in range(2)]
    assert read_image(train.images[0].path).shape == (32, 32, 3)


def test_equal_seeds_give_equal_bytes_and_other_seeds_other_pictures(tmp_path: Path) -> None:
    one, two, other = (
        make_signs(tmp_path / name, train=10, val=10, size=32, seed=seed).root
        for name, seed in (("one", 7), ("two", 7), ("other", 8))
    )
    assert digests(one) == digests(two)
    assert not set(digests(one).values()) & set(digests(other).values())


def test_training_and_validation_pictures_differ(tmp_path: Path) -> None:
    found = digests(make_signs(tmp_path / "signs", train=20, val=20, size=32).root)
    assert len(set(found.values())) == len(found)


def test_a_data_set_that_is_there_is_kept(tmp_path: Path) -> None:
    data = make_signs(tmp_path / "signs", train=10, val=10, size=32)
    before = {path: path.stat().st_mtime_ns for path in data.root.rglob("*.jpg")}
    make_signs(tmp_path / "signs", train=10, val=10, size=32)
    assert {path: path.stat().st_mtime_ns for path in data.root.rglob("*.jpg")} == before


def test_a_folder_with_something_else_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("important")
    with pytest.raises(InputError, match="is not this data set"):
        make_signs(tmp_path, train=10, val=10)
    data = make_signs(tmp_path / "signs", train=10, val=10, size=32)
    with pytest.raises(InputError, match="is not this data set"):
        make_signs(data.root, train=20, val=10, size=32)


def test_an_interrupted_run_leaves_nothing_behind(tmp_path: Path) -> None:
    def interrupt(_: Progress) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        make_signs(tmp_path / "signs", train=60, val=10, size=24, progress=interrupt)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("option", [{"train": 5}, {"val": 0}, {"size": 4}])
def test_impossible_options_are_refused(tmp_path: Path, option: dict[str, int]) -> None:
    with pytest.raises(InputError, match="needs"):
        make_signs(tmp_path / "signs", **option)  # type: ignore[arg-type]  # mypy mixes in progress


def test_a_folder_that_is_no_sign_is_refused(tmp_path: Path) -> None:
    data = make_signs(tmp_path / "signs", train=10, val=10, size=32)
    (data.val / "stop").rename(data.val / "halt")
    with pytest.raises(LabelsError, match="'halt'"):
        open_signs(data.val)


def test_every_drawing_differs_from_the_others() -> None:
    for one, two in itertools.combinations(SIGNS, 2):
        difference = np.asarray(sign_drawing(one), float) - np.asarray(sign_drawing(two), float)
        assert np.abs(difference).mean() > 2, (one, two)


def test_a_look_gives_the_same_scene_at_every_size() -> None:
    look = random_look(np.random.default_rng(3))
    small = draw_scene("stop", look, background(look, 64, 64)).mean(axis=(0, 1))
    large = draw_scene("stop", look, background(look, 256, 256)).mean(axis=(0, 1))
    assert np.abs(small - large).max() < 12


def test_frames_have_the_size_asked_for_and_change_sign_every_half_second() -> None:
    frames = list(sign_frames(32, size=(96, 64), seed=1))
    assert {frame.shape for frame, _ in frames} == {(64, 96, 3)}
    runs = [
        (label, len(list(run))) for label, run in itertools.groupby(label for _, label in frames)
    ]
    assert [length for _, length in runs] == [15, 15, 2]


def test_every_sign_appears_once_before_one_comes_again() -> None:
    labels = [label for _, label in sign_frames(150, size=(32, 32), seed=0)]
    assert {labels[i] for i in range(0, 150, 15)} == set(range(10))


def test_frames_are_repeatable_and_no_two_are_equal() -> None:
    first, again = (
        [frame.tobytes() for frame, _ in sign_frames(20, size=(32, 32), seed=5)] for _ in range(2)
    )
    assert first == again
    assert len(set(first)) == 20
