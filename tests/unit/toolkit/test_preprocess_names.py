from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from toolkit.errors import ContractError, InputError
from toolkit.preprocess import IMAGENET
from toolkit.preprocess_names import PREPROCESSINGS, named_preprocess

GREY = np.full((64, 64, 3), 128, dtype=np.uint8)


def test_imagenet_at_224_is_torchvisions_recipe() -> None:
    assert named_preprocess("imagenet", height=224, width=224) == IMAGENET


@pytest.mark.parametrize(
    ("name", "first"),
    [("unit", 128 / 255), ("symmetric", 128 / 127.5 - 1), ("caffe", 128 - 103.939)],
)
def test_the_first_channel_of_grey_is_scaled_as_the_name_says(name: str, first: float) -> None:
    pixels = named_preprocess(name, height=32, width=32)(GREY)
    assert pixels[0, 0, 0] == pytest.approx(first, abs=1e-4)


@pytest.mark.parametrize("name", PREPROCESSINGS)
def test_every_name_also_prepares_one_channel(name: str) -> None:
    preprocess = named_preprocess(name, height=28, width=28, channels=1)
    assert preprocess(GREY).shape == (1, 28, 28)


def test_a_json_file_says_everything(tmp_path: Path) -> None:
    path = tmp_path / "p.json"
    path.write_text(json.dumps(IMAGENET.to_dict()), encoding="utf-8")
    assert named_preprocess(str(path), height=224, width=224) == IMAGENET


def test_a_json_file_for_another_input_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "p.json"
    path.write_text(json.dumps(IMAGENET.to_dict()), encoding="utf-8")
    with pytest.raises(InputError, match=r"\(3, 224, 224\) pixels, the model takes \(3, 96, 96\)"):
        named_preprocess(str(path), height=96, width=96)


@pytest.mark.parametrize("text", ["", "[]", "{"])
def test_a_damaged_json_file_is_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / "p.json"
    path.write_text(text, encoding="utf-8")
    with pytest.raises((InputError, ContractError)):
        named_preprocess(str(path), height=32, width=32)


def test_an_unknown_name_lists_the_known_ones() -> None:
    with pytest.raises(InputError, match="Unknown preprocessing 'imagnet': known are imagenet"):
        named_preprocess("imagnet", height=32, width=32)
