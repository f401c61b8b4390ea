from __future__ import annotations

import threading
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from tests.unit.toolkit.onnx_graphs import contract
from tests.unit.toolkit.picture_folders import write_classes, write_picture
from toolkit.datasets.folder import LabelledImage, batches, open_folder, select
from toolkit.errors import ImageError, InputError, LabelsError
from toolkit.images import read_image
from toolkit.preprocess import Preprocess


def test_classes_are_the_sorted_folder_names_and_pictures_come_in_path_order(
    tmp_path: Path,
) -> None:
    folder = open_folder(write_classes(tmp_path, {"owl": 2, "cat": 1}))
    assert folder.classes == ("cat", "owl")
    assert [(image.path.parent.name, image.label) for image in folder.images] == [
        ("cat", 0),
        ("owl", 1),
        ("owl", 1),
    ]


def test_folders_are_matched_to_the_ids_of_the_contract(tmp_path: Path) -> None:
    folder = open_folder(write_classes(tmp_path, {"n4": 1, "n2": 1}), contract=contract())
    assert [image.label for image in folder.images] == [1, 3]
    assert folder.classes == ("cat", "dog", "owl", "emu")


def test_folders_are_matched_to_the_labels_where_no_id_fits(tmp_path: Path) -> None:
    folder = open_folder(write_classes(tmp_path, {"emu": 1, "n1": 1}), contract=contract())
    assert [image.label for image in folder.images] == [3, 0]


def test_an_id_wins_over_a_label_of_the_same_name(tmp_path: Path) -> None:
    crossed = contract(labels=("n2", "dog", "owl", "emu"))
    folder = open_folder(write_classes(tmp_path, {"n2": 1}), contract=crossed)
    assert [image.label for image in folder.images] == [1]


def test_a_single_class_is_accepted_with_a_contract_and_refused_without(tmp_path: Path) -> None:
    root = write_classes(tmp_path, {"cat": 2})
    assert len(open_folder(root, contract=contract()).images) == 2
    with pytest.raises(InputError, match=r"one class folder \(cat\): .* at least two"):
        open_folder(root)


def test_hidden_files_and_other_files_are_ignored_and_counted(tmp_path: Path) -> None:
    root = write_classes(tmp_path, {"cat": 1, "dog": 1})
    (root / "README.txt").write_text("notes")
    (root / "cat" / ".DS_Store").write_bytes(b"x")
    (root / "cat" / "list.csv").write_text("a,b")
    (root / ".git").mkdir()
    folder = open_folder(root)
    assert (len(folder.images), folder.ignored) == (2, 3)


def test_pictures_in_nested_folders_belong_to_the_outer_class(tmp_path: Path) -> None:
    root = write_classes(tmp_path, {"cat": 1, "dog": 1})
    write_picture(root / "cat" / "more" / "x.PNG")
    assert [image.label for image in open_folder(root).images] == [0, 0, 1]


def test_a_folder_without_class_folders_says_that_pictures_lie_in_it(tmp_path: Path) -> None:
    write_picture(tmp_path / "a.png")
    with pytest.raises(InputError, match=r"no class folders \(1 pictures lie in it directly\)"):
        open_folder(tmp_path)


def test_an_empty_class_folder_is_named(tmp_path: Path) -> None:
    root = write_classes(tmp_path, {"cat": 1, "dog": 1})
    (root / "owl").mkdir()
    with pytest.raises(InputError, match="owl holds no pictures"):
        open_folder(root)


def test_a_missing_folder_and_a_file_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="does not exist"):
        open_folder(tmp_path / "gone")
    with pytest.raises(InputError, match="is a file, not a folder"):
        open_folder(write_picture(tmp_path / "a.png"))


def test_class_folders_that_differ_only_by_case_are_refused(tmp_path: Path) -> None:
    root = write_classes(tmp_path, {"Cat": 1, "cat": 1})
    with pytest.raises(LabelsError, match=r"'Cat' and 'cat' in .* differ only by case"):
        open_folder(root)


def test_unknown_class_folders_are_named_with_the_likely_class(tmp_path: Path) -> None:
    root = write_classes(tmp_path, {"Dog": 1, "n3": 1, "xyzzy": 1})
    with pytest.raises(LabelsError, match=r"2 of 3 class folders .*'Dog' \(did you mean 'dog'\?\)"):
        open_folder(root, contract=contract())


def test_two_folders_for_one_class_are_refused(tmp_path: Path) -> None:
    root = write_classes(tmp_path, {"dog": 1, "n2": 1})
    with pytest.raises(LabelsError, match=r"Two class folders .* name the same class"):
        open_folder(root, contract=contract())


def test_a_label_that_two_classes_share_is_refused_with_the_ids(tmp_path: Path) -> None:
    shared = contract(labels=("crane", "dog", "owl", "crane"))
    with pytest.raises(LabelsError, match=r"'crane' .* names 2 of the model's classes \(n1, n4\)"):
        open_folder(write_classes(tmp_path, {"crane": 1}), contract=shared)


def test_select_takes_evenly_from_the_classes(tmp_path: Path) -> None:
    folder = open_folder(write_classes(tmp_path, {"a": 6, "b": 3, "c": 1}))
    chosen = select(folder, 7, seed=0)
    assert Counter(image.label for image in chosen) == {0: 3, 1: 3, 2: 1}


def test_select_is_repeatable_and_differs_between_seeds(tmp_path: Path) -> None:
    folder = open_folder(write_classes(tmp_path, {"a": 9, "b": 9}))
    assert select(folder, 6, seed=1) == select(folder, 6, seed=1)
    assert select(folder, 6, seed=1) != select(folder, 6, seed=2)


def test_select_returns_everything_when_more_is_asked_for(tmp_path: Path) -> None:
    folder = open_folder(write_classes(tmp_path, {"a": 2, "b": 1}))
    assert set(select(folder, 99, seed=0)) == set(folder.images)


def test_select_refuses_zero_pictures(tmp_path: Path) -> None:
    folder = open_folder(write_classes(tmp_path, {"a": 1, "b": 1}))
    with pytest.raises(InputError, match="At least one picture"):
        select(folder, 0, seed=0)


def test_batches_keep_the_order_and_equal_the_preprocessed_pictures(tmp_path: Path) -> None:
    folder = open_folder(write_classes(tmp_path, {"a": 4, "b": 3}))
    preprocess = Preprocess(8, 8, resize_size=9)
    found = list(batches(folder.images, preprocess, batch_size=3, threads=3))
    assert [len(labels) for _, labels in found] == [3, 3, 1]
    assert np.concatenate([labels for _, labels in found]).tolist() == [0, 0, 0, 0, 1, 1, 1]
    inputs = np.concatenate([batch for batch, _ in found])
    assert inputs.dtype == np.float32
    expected = [preprocess(read_image(image.path)) for image in folder.images]
    assert np.array_equal(inputs, np.stack(expected))


def test_a_damaged_picture_stops_the_batches_and_is_named(tmp_path: Path) -> None:
    root = write_classes(tmp_path, {"a": 2, "b": 2})
    (root / "b" / "0.png").write_bytes(b"")
    with pytest.raises(ImageError, match=r"b/0\.png is empty"):
        list(batches(open_folder(root).images, Preprocess(8, 8), batch_size=1, threads=2))


def test_pictures_are_not_decoded_far_ahead_of_the_reader(tmp_path: Path) -> None:
    path = write_picture(tmp_path / "a.png")
    taken = 0

    def endless() -> object:
        nonlocal taken
        while True:
            taken += 1
            yield LabelledImage(path, 0)

    reader = batches(endless(), Preprocess(8, 8), batch_size=4, threads=2)  # type: ignore[arg-type]
    next(reader)
    reader.close()  # type: ignore[attr-defined]  # it is a generator
    assert taken <= 2 * 4 + 2 * 2 + 1


def test_the_decoding_threads_end_with_the_reader(tmp_path: Path) -> None:
    folder = open_folder(write_classes(tmp_path, {"a": 5, "b": 5}))
    reader = batches(folder.images, Preprocess(8, 8), batch_size=2, threads=2)
    next(reader)
    reader.close()  # type: ignore[attr-defined]  # it is a generator
    assert not [t for t in threading.enumerate() if t.name.startswith("decode")]
