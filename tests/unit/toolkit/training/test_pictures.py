from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tests.unit.toolkit.picture_folders import write_classes
from toolkit.datasets.folder import open_folder
from toolkit.errors import InputError, LabelsError
from toolkit.images import read_image
from toolkit.preprocess import Preprocess
from toolkit.progress import Progress, silent
from toolkit.training import pictures as training_pictures
from toolkit.training.pictures import Pictures, batches_of, open_pictures, open_splits

PREPROCESS = Preprocess(8, 8, resize_size=9)


def data(root: Path, *, train: str = "train", val: str = "val") -> Path:
    write_classes(root / train, {"a": 2, "b": 3, "c": 1})
    write_classes(root / val, {"a": 1, "c": 1})
    return root


def pictures(root: Path) -> Pictures:
    return open_pictures(open_folder(root), PREPROCESS, step="read", threads=2, progress=silent)


@pytest.mark.parametrize(("train", "val"), [("train", "val"), ("train_data", "test_data")])
def test_both_splits_are_found_under_their_usual_names(
    tmp_path: Path, train: str, val: str
) -> None:
    first, second = open_splits(data(tmp_path, train=train, val=val))
    assert first.classes == second.classes == ("a", "b", "c")
    assert [image.label for image in second.images] == [0, 2]


def test_a_missing_split_lists_the_names_it_may_have(tmp_path: Path) -> None:
    write_classes(tmp_path / "train", {"a": 1, "b": 1})
    with pytest.raises(InputError, match=r"no folder val/ \(or test_data"):
        open_splits(tmp_path)


def test_a_validation_class_that_was_not_trained_is_refused(tmp_path: Path) -> None:
    write_classes(data(tmp_path) / "val", {"zebra": 1})
    with pytest.raises(LabelsError, match="'zebra'"):
        open_splits(tmp_path)


def test_one_class_cannot_be_trained(tmp_path: Path) -> None:
    write_classes(tmp_path / "train", {"a": 2})
    write_classes(tmp_path / "val", {"a": 2})
    with pytest.raises(InputError, match="at least two"):
        open_splits(tmp_path)


def test_a_missing_data_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="does not exist"):
        open_splits(tmp_path / "gone")


@pytest.mark.parametrize("limit", [1 << 30, 0])
def test_batches_follow_the_order_whether_kept_in_memory_or_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, limit: int
) -> None:
    monkeypatch.setattr(training_pictures, "_CACHE_BYTES", limit)
    found = pictures(data(tmp_path) / "train")
    assert (found.cache is None) == (limit == 0)
    batches = batches_of(np.array([5, 0, 3, 1]), 3)
    got = list(found.read(batches))
    assert [len(pixels) for pixels in got] == [2, 2]
    expected = [PREPROCESS.pixels(read_image(found.images[i].path)) for i in (5, 0, 3, 1)]
    assert np.array_equal(np.concatenate(got), np.stack(expected))
    assert found.labels[np.concatenate(batches)].tolist() == [2, 0, 1, 0]


@pytest.mark.parametrize(
    ("count", "size", "sizes"), [(7, 3, [3, 2, 2]), (6, 3, [3, 3]), (1, 3, [1]), (33, 32, [17, 16])]
)
def test_batches_are_as_few_as_can_be_and_of_like_sizes(
    count: int, size: int, sizes: list[int]
) -> None:
    batches = batches_of(np.arange(count), size)
    assert [len(batch) for batch in batches] == sizes
    assert np.concatenate(batches).tolist() == list(range(count))


def test_reading_reports_its_progress(tmp_path: Path) -> None:
    seen: list[Progress] = []
    folder = open_folder(data(tmp_path) / "train")
    open_pictures(folder, PREPROCESS, step="read", threads=1, progress=seen.append)
    assert seen[-1] == Progress("read", 6, 6)
