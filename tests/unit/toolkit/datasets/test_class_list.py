from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from tests.unit.toolkit.onnx_graphs import contract
from tests.unit.toolkit.picture_folders import write_picture
from toolkit.datasets.class_list import CLASS_LISTS
from toolkit.datasets.folder import open_folder
from toolkit.datasets.imagenet import open_imagenet
from toolkit.errors import EdgekitError, InputError, LabelsError

LISTS = {
    "ILSVRC2012_validation_ground_truth.txt": "490\n361\n490\n",
    "LOC_val_solution.csv": "ImageId,PredictionString\n"
    "ILSVRC2012_val_00000003,n01751748 85 1 499 272 n01751748 1 1 9 9\n"
    "ILSVRC2012_val_00000001,n01751748 85 1 499 272 \n"
    "ILSVRC2012_val_00000002,n09193705 1 2 3 4 \n",
    "imagenet_2012_validation_synset_labels.txt": "n01751748\nn09193705\nn01751748\n",
    "val.txt": "ILSVRC2012_val_00000001.JPEG 65\nval/ILSVRC2012_val_00000002.JPEG n09193705\n"
    "ILSVRC2012_val_00000003.JPEG 65\n",
}
"""Three pictures (sea snake, alp, sea snake) in each of the lists people have."""


def _flat(root: Path) -> Path:
    for index in (1, 2, 3):
        write_picture(root / f"ILSVRC2012_val_{index:08}.png")
    return root


def test_every_list_has_an_example() -> None:
    assert set(LISTS) == set(CLASS_LISTS)


@pytest.mark.parametrize("name", LISTS)
def test_a_flat_folder_gets_its_classes_from_the_list(name: str, tmp_path: Path) -> None:
    root = _flat(tmp_path / "val")
    (root / name).write_text(LISTS[name])
    folder = open_imagenet(root)
    assert [(image.path.stem[-1], image.label) for image in folder.images] == [
        ("1", 65),
        ("3", 65),
        ("2", 970),
    ]
    assert folder.ignored == 1, "the list itself"


@pytest.mark.parametrize(
    ("pictures", "place", "name"),
    [
        ("val", "ILSVRC2012_devkit_t12/data", "ILSVRC2012_validation_ground_truth.txt"),
        ("ILSVRC/Data/CLS-LOC/val", ".", "LOC_val_solution.csv"),
        ("val", ".", "val.txt"),
    ],
)
def test_the_list_is_found_where_its_archive_puts_it(
    pictures: str, place: str, name: str, tmp_path: Path
) -> None:
    root = _flat(tmp_path / "a" / pictures)
    (tmp_path / "a" / place).mkdir(parents=True, exist_ok=True)
    (tmp_path / "a" / place / name).write_text(LISTS[name])
    assert len(open_imagenet(root).images) == 3


def test_a_plain_name_far_from_the_pictures_is_not_taken_for_their_list(tmp_path: Path) -> None:
    root = _flat(tmp_path / "a" / "b" / "val")
    (tmp_path / "val.txt").write_text(LISTS["val.txt"])
    with pytest.raises(
        InputError, match=r"3 pictures lie in it directly.*near it one of ILSVRC2012"
    ):
        open_folder(root)


def test_a_contract_numbers_the_classes_of_a_list(tmp_path: Path) -> None:
    root = _flat(tmp_path / "val")
    (root / "val.txt").write_text(LISTS["val.txt"])
    model = replace(
        contract(),
        ids=("n09193705", "n01751748", "x", "y")[: len(contract().ids)],
        labels=("alp", "sea snake", "x", "y")[: len(contract().ids)],
    )
    assert [image.label for image in open_folder(root, contract=model).images] == [1, 1, 0]
    with pytest.raises(LabelsError, match="n01751748"):
        open_folder(root, contract=contract())


def test_without_a_contract_the_classes_are_the_synsets_that_occur(tmp_path: Path) -> None:
    root = _flat(tmp_path / "val")
    (root / "val.txt").write_text(LISTS["val.txt"])
    assert open_folder(root).classes == ("n01751748", "n09193705")


def test_a_picture_that_the_list_does_not_name_is_refused(tmp_path: Path) -> None:
    root = _flat(tmp_path / "val")
    (root / "ILSVRC2012_validation_ground_truth.txt").write_text("490\n361\n")
    with pytest.raises(LabelsError, match=r"1 of 3 pictures .*ILSVRC2012_val_00000003"):
        open_imagenet(root)


@pytest.mark.parametrize(
    ("name", "content", "reason"),
    [
        ("ILSVRC2012_validation_ground_truth.txt", b"490\n0\n", "line 2: '0' is not an ILSVRC"),
        ("ILSVRC2012_validation_ground_truth.txt", b"490\nfox\n", "line 2: 'fox'"),
        ("LOC_val_solution.csv", b"ImageId,PredictionString\na,b\n", "line 2: 'a,b'"),
        ("imagenet_2012_validation_synset_labels.txt", b"n00000000\n", "line 1: 'n00000000'"),
        ("val.txt", b"a.JPEG 1000\n", "counts from 1"),
        ("val.txt", b"a.JPEG\n", "line 1: 'a.JPEG' is not a picture, a space"),
        ("val.txt", b"\xff\xfe", "not a readable list"),
    ],
)
def test_a_damaged_list_is_named_with_its_line(
    name: str, content: bytes, reason: str, tmp_path: Path
) -> None:
    root = _flat(tmp_path / "val")
    (root / name).write_bytes(content)
    with pytest.raises(EdgekitError, match=reason):
        open_imagenet(root)


def test_the_folder_above_train_and_val_is_sent_to_one_of_them(tmp_path: Path) -> None:
    for part in ("train", "val"):
        write_picture(tmp_path / part / "n01440764" / "a.png")
    with pytest.raises(InputError, match="holds the parts train, val of a data set") as failure:
        open_imagenet(tmp_path)
    assert failure.value.next_command.endswith("/val")
