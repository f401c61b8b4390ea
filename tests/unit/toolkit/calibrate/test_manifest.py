"""A manifest of calibration images repeats a calibration exactly, or says why it cannot."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.unit.toolkit.onnx_graphs import classifier, contract
from tests.unit.toolkit.picture_folders import write_classes, write_picture
from toolkit.calibrate import calibrate
from toolkit.calibrate.manifest import read_manifest
from toolkit.errors import InputError
from toolkit.onnx_model.file import write_onnx

CLASSES = dict.fromkeys(("n1", "n2", "n3", "n4"), 6)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    write_classes(tmp_path / "train", CLASSES)
    write_onnx(classifier(), tmp_path / "model.onnx", contract())
    return tmp_path


def _calibrate(folder: Path, name: str, **options: Any) -> bytes:
    made = calibrate(
        folder / "model.onnx",
        images=folder / "train",
        out=folder / f"{name}.int8.onnx",
        effort="fast",
        **options,
    )
    return made.table.read_bytes()


def _written(folder: Path, **options: Any) -> Path:
    _calibrate(folder, "first", samples=10, write_manifest=folder / "m.json", **options)
    return folder / "m.json"


def _changed(manifest: Path, change: Any) -> Path:
    values = json.loads(manifest.read_text())
    change(values)
    manifest.write_text(json.dumps(values))
    return manifest


@pytest.mark.parametrize("seed", [0, 3])
def test_a_manifest_gives_the_same_table_byte_for_byte(folder: Path, seed: int) -> None:
    manifest = _written(folder, seed=seed)
    write_picture(folder / "train" / "n1" / "new.png", seed=99)
    (folder / "again.json").unlink(missing_ok=True)
    again = _calibrate(folder, "second", manifest=manifest, write_manifest=folder / "again.json")
    assert again == (folder / "first.calibration.json").read_bytes()
    assert (folder / "again.json").read_bytes() == manifest.read_bytes()
    other = _calibrate(folder, "third", samples=10, seed=seed + 1)
    assert other != again, "another selection would have given the same table"


def test_every_difference_is_counted_in_one_error(folder: Path) -> None:
    manifest = _written(folder)
    names = [entry["path"] for entry in json.loads(manifest.read_text())["images"]]
    for name in names[:5]:
        (folder / "train" / name).unlink()
    write_picture(folder / "train" / names[6], seed=77)
    _changed(manifest, lambda values: values["images"].append(values["images"][8]))
    _changed(manifest, lambda values: values["images"].append({**values["images"][9]}))
    _changed(manifest, lambda values: values["images"][11].update(path="../model.onnx"))
    with pytest.raises(InputError) as caught:
        read_manifest(manifest, folder / "train")
    said = str(caught.value)
    assert "lists 12 images" in said
    assert f"5 missing ({', '.join(names[:3])} and 2 more)" in said
    assert f"1 altered ({names[6]})" in said
    assert f"1 listed twice ({names[8]})" in said
    assert "1 outside (../model.onnx)" in said


def test_an_absolute_path_is_not_followed(folder: Path) -> None:
    manifest = _written(folder)
    outside = str(folder / "model.onnx")
    _changed(manifest, lambda values: values["images"][0].update(path=outside))
    with pytest.raises(InputError, match="1 outside"):
        read_manifest(manifest, folder / "train")


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "{}",
        '{"version": 1, "seed": 0, "images": []}',
        '{"version": 1, "seed": 0, "images": [{"path": "a"}]}',
        '{"version": 1, "seed": "0", "images": [{"path": "a", "label": 0, "digest": "b"}]}',
        '{"version": 1, "seed": 0, "images": [{"path": 1, "label": 0, "digest": "b"}]}',
    ],
)
def test_what_is_no_manifest_is_called_so(tmp_path: Path, text: str) -> None:
    (tmp_path / "m.json").write_text(text)
    with pytest.raises(InputError, match="is not a manifest"):
        read_manifest(tmp_path / "m.json", tmp_path)


def test_a_manifest_of_a_newer_version_says_how_to_upgrade(tmp_path: Path) -> None:
    (tmp_path / "m.json").write_text('{"version": 2}')
    with pytest.raises(InputError, match="newer Edgekit"):
        read_manifest(tmp_path / "m.json", tmp_path)


def test_a_manifest_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"m\.json cannot be read"):
        read_manifest(tmp_path / "m.json", tmp_path)


def test_another_seed_than_that_of_the_manifest_is_refused(folder: Path) -> None:
    manifest = _written(folder, seed=3)
    with pytest.raises(InputError, match="seed 3; seed 4"):
        _calibrate(folder, "second", manifest=manifest, seed=4)


@pytest.mark.parametrize("options", [{"images": None}, {"random_data": True}])
def test_a_manifest_needs_the_folder_of_its_images(folder: Path, options: Any) -> None:
    chosen = {"images": folder / "train", **options}
    with pytest.raises(InputError, match="needs the folder"):
        calibrate(folder / "model.onnx", manifest=folder / "m.json", **chosen)
