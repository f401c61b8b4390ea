"""Calibration images of the wrong kind, through the real command: one clear warning each."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from tests.bad_input.command import Place
from toolkit.datasets.sign_drawings import SIGNS
from toolkit.datasets.sign_scenes import background, draw_scene, random_look

CLASSES = ("n1", "n2", "n3", "n4")
Draw = Callable[[int], NDArray[np.uint8]]


def _picture(index: int) -> NDArray[np.uint8]:
    look = random_look(np.random.default_rng(index))
    return draw_scene(SIGNS[index % len(SIGNS)], look, background(look, 64, 64))


def _noise(index: int) -> NDArray[np.uint8]:
    # As large as the contract resizes to: enlarged noise is smooth.
    return np.random.default_rng(index).integers(0, 256, (256, 256, 3), dtype=np.uint8)


def _grey(index: int) -> NDArray[np.uint8]:
    return np.asarray(Image.fromarray(_picture(index)).convert("L"))


def _black(_index: int) -> NDArray[np.uint8]:
    return np.zeros((64, 64, 3), np.uint8)


def _same(_index: int) -> NDArray[np.uint8]:
    return _picture(0)


def _notes(place: Place, draw: Draw, count: int = 20) -> str:
    folder = place.folder / "given"
    for index in range(count):
        path = folder / CLASSES[index % 4] / f"{index}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(draw(index)).save(path)
    options = ("--images", "given", "--effort", "fast", "--json")
    made = place.run("calibrate", "model.onnx", *options)
    assert made.code == 0, made
    values: dict[str, Any] = json.loads(made.out)
    table = json.loads(Path(place.folder, values["table"]).read_text())
    assert set(values["notes"]) >= {n for n in table["notes"] if n.startswith("warning")}
    return "\n".join(values["notes"])


@pytest.mark.parametrize(
    ("draw", "says"),
    [
        (_noise, "warning: calibration images: they look like noise"),
        (_grey, "warning: calibration images: 20 of 20 are grey"),
        (_black, "warning: calibration images: 20 of 20 are of one colour"),
        (_same, "warning: calibration images: the 20 are almost equal"),
    ],
    ids=["noise", "grey", "black", "same"],
)
def test_images_of_the_wrong_kind_give_a_warning(place: Place, draw: Draw, says: str) -> None:
    assert says in _notes(place, draw)


def test_pictures_give_none_about_what_they_show(place: Place) -> None:
    notes = _notes(place, _picture)
    assert "warning: calibration images" not in notes.replace(
        # The model of these tests was never trained: that it guesses is true.
        "warning: calibration images: the model is hardly surer",
        "",
    )


def test_one_image_does_not_make_ranges_converge(place: Place) -> None:
    assert "ranges not converged: calibrated on 1 image, too few" in _notes(place, _picture, 1)
