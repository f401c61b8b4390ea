from __future__ import annotations

from pathlib import Path

import pytest

from tests.unit.toolkit.onnx_graphs import contract
from tests.unit.toolkit.picture_folders import write_classes
from toolkit.datasets.imagenet import open_imagenet
from toolkit.errors import LabelsError


def test_synset_folders_get_the_number_of_their_class(tmp_path: Path) -> None:
    folder = open_imagenet(write_classes(tmp_path, {"n01443537": 1, "n01440764": 1}))
    assert [image.label for image in folder.images] == [0, 1]
    assert len(folder.classes) == 1000


def test_a_folder_that_is_no_synset_is_refused(tmp_path: Path) -> None:
    with pytest.raises(LabelsError, match="n99999999"):
        open_imagenet(write_classes(tmp_path, {"n01440764": 1, "n99999999": 1}))


def test_a_contract_wins_over_the_thousand_classes(tmp_path: Path) -> None:
    folder = open_imagenet(write_classes(tmp_path, {"n2": 1}), contract=contract())
    assert [image.label for image in folder.images] == [1]
