"""What every row of DATASETS promises. A new data set is tested by being listed."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.unit.toolkit.onnx_graphs import contract
from tests.unit.toolkit.picture_folders import write_classes
from toolkit.datasets import DATASETS
from toolkit.datasets.folder import ImageFolder
from toolkit.errors import InputError
from toolkit.lazy import load

EXAMPLES = {
    "folder": ("cat", "dog"),
    "imagenet": ("n01440764", "n01443537"),
    "signs": ("stop", "yield"),
}
"""Two class folders of each data set."""


def opener(name: str) -> Callable[..., ImageFolder]:
    found: Callable[..., ImageFolder] = load(
        DATASETS[name], what=name, install="pip install edgekit"
    )
    return found


def test_every_data_set_has_an_example() -> None:
    assert set(EXAMPLES) == set(DATASETS)


@pytest.mark.parametrize("name", DATASETS)
def test_a_data_set_labels_each_picture_with_its_class(name: str, tmp_path: Path) -> None:
    first, second = EXAMPLES[name]
    folder = opener(name)(write_classes(tmp_path, {first: 2, second: 1}))
    assert folder.root == tmp_path
    labels = [image.label for image in folder.images]
    assert labels[0] == labels[1] != labels[2]
    assert all(0 <= label < len(folder.classes) for label in labels)


@pytest.mark.parametrize("name", DATASETS)
def test_a_contract_decides_the_numbers_of_the_classes(name: str, tmp_path: Path) -> None:
    folder = opener(name)(write_classes(tmp_path, {"n3": 1, "dog": 1}), contract=contract())
    assert sorted(image.label for image in folder.images) == [1, 2]
    assert folder.classes == contract().labels


@pytest.mark.parametrize("name", DATASETS)
def test_a_missing_folder_is_refused(name: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="does not exist"):
        opener(name)(tmp_path / "gone")
