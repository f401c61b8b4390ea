"""Folders of pictures that are missing, broken, labelled otherwise or calibrated on."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.bad_input.command import Place

PICTURE = Path("val", "n1", "0.bmp")


def _empty(folder: Path) -> None:
    (folder / PICTURE).write_bytes(b"")


def _truncate(folder: Path) -> None:
    whole = (folder / PICTURE).read_bytes()
    (folder / PICTURE).write_bytes(whole[: len(whole) // 2])


def _text(folder: Path) -> None:
    (folder / PICTURE).write_text("no picture", encoding="utf-8")


def _dangling(folder: Path) -> None:
    (folder / PICTURE).unlink()
    (folder / PICTURE).symlink_to("gone.bmp")


def _pipe(folder: Path) -> None:
    (folder / PICTURE).unlink()
    os.mkfifo(folder / PICTURE)


def _other_names(folder: Path) -> None:
    (folder / "val" / "n1").rename(folder / "val" / "kat")


def _empty_class(folder: Path) -> None:
    for picture in (folder / "val" / "n1").iterdir():
        picture.unlink()


def _no_classes(folder: Path) -> None:
    shutil.rmtree(folder / "val")
    (folder / "val").mkdir()


def _missing(folder: Path) -> None:
    shutil.rmtree(folder / "val")


def _a_file(folder: Path) -> None:
    shutil.rmtree(folder / "val")
    (folder / "val").write_bytes(b"x")


BROKEN: dict[str, tuple[Callable[[Path], None], str]] = {
    "empty": (_empty, "is empty"),
    "truncated": (_truncate, "damaged or cut off"),
    "text": (_text, "not a picture in a known format"),
    "dangling": (_dangling, "does not exist"),
    "pipe": (_pipe, "a pipe"),
    "other names": (_other_names, "did you mean 'cat'"),
    "empty class": (_empty_class, "holds no pictures"),
    "no classes": (_no_classes, "no class folders"),
    "missing": (_missing, "does not exist"),
    "a file": (_a_file, "is a file"),
}


@pytest.mark.parametrize("how", BROKEN)
def test_bad_pictures_are_named_before_a_score_is_written(place: Place, how: str) -> None:
    spoil, says = BROKEN[how]
    spoil(place.folder)
    place.refuses("score", "model.onnx", "--images", "val", "--out", "new.json", says=says)


@pytest.mark.parametrize("how", ["truncated", "other names", "missing"])
def test_a_comparison_refuses_the_same(place: Place, how: str) -> None:
    spoil, says = BROKEN[how]
    spoil(place.folder)
    place.refuses("compare", "model.onnx", "engine.onnx", "--images", "val", says=says)


@pytest.mark.parametrize("how", ["truncated", "other names", "empty class", "no classes"])
def test_calibration_refuses_the_same_and_writes_nothing(place: Place, how: str) -> None:
    spoil, says = BROKEN[how]
    spoil(place.folder)
    place.refuses("calibrate", "model.onnx", "--images", "val", says=says)


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ((), "none were given"),
        (("--images", "empty"), "no class folders"),
        (("--images", "gone"), "does not exist"),
        (("--images", "train", "--samples", "0"), "at least one image"),
        (("--images", "train", "--samples", "-1"), "at least one image"),
        (("--random-data", "--samples", "0"), "no calibration images"),
    ],
    ids=["none", "empty", "missing", "zero", "negative", "random"],
)
def test_calibration_without_images_is_refused(
    place: Place, options: tuple[str, ...], says: str
) -> None:
    (place.folder / "empty").mkdir()
    place.refuses("calibrate", "model.onnx", *options, says=says)


def test_images_that_were_calibrated_on_are_not_scored(place: Place) -> None:
    made = place.run("calibrate", "model.onnx", "--images", "train", "--samples", "4")
    assert made.code == 0, made
    says = "also used to calibrate model.int8.onnx"
    place.refuses("score", "model.int8.onnx", "--images", "train", says=says)
    place.refuses("compare", "model.onnx", "model.int8.onnx", "--images", "train", says=says)


@pytest.mark.parametrize(
    ("camera", "says"),
    [
        ("file://gone.avi", "does not exist"),
        ("file://model.onnx", "not a video"),
        ("file://val", "is a folder"),
        ("file://", "names no file"),
        ("images://gone", "does not exist"),
        ("images://", "names no file"),
        ("images://model.onnx", "not a text file of paths"),
        ("syntetic://64x48", "did you mean 'synthetic'"),
        ("synthetic://0x0", "not WIDTHxHEIGHT"),
        ("webcam", "not a camera URI"),
    ],
)
def test_a_camera_that_cannot_be_opened_is_named(place: Place, camera: str, says: str) -> None:
    out = ("--out", "new.json", "--results", "new.jsonl")
    place.refuses("live", "model.onnx", "--camera", camera, "--frames", "2", *out, says=says)


def test_a_camera_of_broken_pictures_gives_no_summary(place: Place) -> None:
    for picture in (place.folder / "val").rglob("*.bmp"):
        picture.write_bytes(b"BM broken")
    options = ("--camera", "images://val", "--out", "new.json")
    place.refuses("live", "model.onnx", *options, says="no frame that could be used")


def test_a_manifest_that_does_not_fit_the_folder_is_refused(place: Place) -> None:
    options = ("calibrate", "model.onnx", "--images", "train", "--samples", "6")
    made = place.run(*options, "--write-manifest", "m.json", "--effort", "fast")
    assert made.code == 0, made
    again = place.run(*options[:4], "--manifest", "m.json", "--effort", "fast")
    assert again.code == 0, again
    assert again.out == made.out
    shutil.rmtree(place.folder / "train" / "n2")
    place.refuses(*options[:4], "--manifest", "m.json", says="missing (n2/")
    place.refuses(*options[:4], "--manifest", "gone.json", says="gone.json cannot be read")
