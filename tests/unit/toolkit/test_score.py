from __future__ import annotations

import json
import shutil
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from tests.unit.toolkit.colour_models import IDS, LABELS, make_folder, make_model
from toolkit.accuracy import Accuracy, read_accuracy, write_accuracy
from toolkit.contract import UNCALIBRATED
from toolkit.errors import ImageError, InputError, LabelsError, LeakageError, ModelError
from toolkit.images import image_digest
from toolkit.predictions import IdentifiedImage, predictions_from_logits
from toolkit.progress import Progress
from toolkit.score import score


def test_a_model_that_is_always_right_scores_one(tmp_path: Path) -> None:
    images = make_folder(tmp_path / "val")
    seen: list[Progress] = []
    accuracy = score(make_model(tmp_path / "m.onnx"), images=images, progress=seen.append)
    assert (accuracy.n, accuracy.top1, accuracy.top5) == (12, 1.0, 1.0)
    assert accuracy.top1_interval.high == 1.0
    assert 0.7 < accuracy.top1_interval.low < 0.8
    assert seen[-1] == Progress("score", 12, 12, "top-1 100.0 %")


def test_a_model_that_is_always_wrong_scores_zero(tmp_path: Path) -> None:
    images = make_folder(tmp_path / "val")
    accuracy = score(make_model(tmp_path / "m.onnx", answers=(1, 2, 3, 0)), images=images)
    assert accuracy.top1 == 0.0
    assert accuracy.top1_interval.low == 0.0
    assert all(each.top1 == 0.0 for each in accuracy.per_class())


def test_per_class_accuracies_show_which_class_fails(tmp_path: Path) -> None:
    images = make_folder(tmp_path / "val", each=2)
    accuracy = score(make_model(tmp_path / "m.onnx", answers=(0, 1, 1, 3)), images=images)
    assert {each.label: each.right for each in accuracy.per_class()} == {
        "red": 2,
        "green": 2,
        "blue": 0,
        "dark": 2,
    }


def test_folders_may_be_named_by_id_and_classes_may_be_absent(tmp_path: Path) -> None:
    images = make_folder(tmp_path / "labels")
    by_id = tmp_path / "val"
    for label, name in zip(LABELS[:2], IDS, strict=False):
        shutil.copytree(images / label, by_id / name)
    accuracy = score(make_model(tmp_path / "m.onnx"), images=by_id)
    assert accuracy.n == 6
    assert [each.id for each in accuracy.per_class()] == ["n1", "n2"]


def test_one_image_is_scored_with_a_wide_interval(tmp_path: Path) -> None:
    images = make_folder(tmp_path / "val", each=1, classes=("red",))
    accuracy = score(make_model(tmp_path / "m.onnx"), images=images)
    assert accuracy.n == 1
    assert accuracy.top1_interval.low == pytest.approx(0.2065, abs=1e-4)


def test_every_prediction_names_its_image_by_digest(tmp_path: Path) -> None:
    images = make_folder(tmp_path / "val")
    accuracy = score(make_model(tmp_path / "m.onnx"), images=images)
    for prediction in accuracy.predictions:
        assert prediction.image == image_digest(images / prediction.path)
    assert [p.path for p in accuracy.predictions] == sorted(p.path for p in accuracy.predictions)
    first = accuracy.predictions[0]
    assert (first.path, LABELS[first.label], first.right) == ("blue/0.png", "blue", True)
    assert len(first.logits) == 16


@pytest.mark.parametrize("batch_size", [1, 5, 100])
def test_the_batch_size_changes_no_prediction(tmp_path: Path, batch_size: int) -> None:
    images, model = make_folder(tmp_path / "val"), make_model(tmp_path / "m.onnx")
    wanted = [(p.path, p.predicted) for p in score(model, images=images).predictions]
    found = score(model, images=images, batch_size=batch_size).predictions
    assert [(p.path, p.predicted) for p in found] == wanted


def test_the_last_batch_of_an_engine_with_a_fixed_batch_is_filled_up(tmp_path: Path) -> None:
    images = make_folder(tmp_path / "val")
    model = make_model(tmp_path / "m.onnx", input_shape=(5, 3, 8, 8))
    accuracy = score(model, images=images)
    assert (accuracy.n, accuracy.top1, accuracy.batch_size) == (12, 1.0, 5)
    with pytest.raises(InputError, match="batches of 5 images, not 4"):
        score(model, images=images, batch_size=4)
    with pytest.raises(InputError, match="not -1"):
        score(make_model(tmp_path / "n.onnx"), images=images, batch_size=-1)


def test_a_limit_takes_the_same_images_of_all_classes_every_time(tmp_path: Path) -> None:
    images, model = make_folder(tmp_path / "val", each=9), make_model(tmp_path / "m.onnx")
    first, second = (score(model, images=images, limit=8) for _ in range(2))
    assert [each.n for each in first.per_class()] == [2, 2, 2, 2]
    assert first.predictions == second.predictions
    assert score(model, images=images, limit=10**6).n == 36
    with pytest.raises(InputError, match="0 were asked for"):
        score(model, images=images, limit=0)


def test_an_image_that_was_calibrated_on_is_refused(tmp_path: Path) -> None:
    images = make_folder(tmp_path / "val")
    seen = tuple(image_digest(images / "red" / f"{i}.png") for i in range(2))
    model = make_model(tmp_path / "m.onnx", calibration_images=seen, calibration="ab")
    with pytest.raises(LeakageError, match=r"2 of 12 images .*red/0\.png"):
        score(model, images=images)


def test_an_uncalibrated_model_is_scored_and_says_so(tmp_path: Path) -> None:
    model = make_model(tmp_path / "m.onnx", calibration=UNCALIBRATED)
    accuracy = score(model, images=make_folder(tmp_path / "val"))
    assert accuracy.notes[0].startswith("UNCALIBRATED")


def test_a_tensorrt_scheme_is_evaluated_in_float_and_says_so(tmp_path: Path) -> None:
    model = make_model(tmp_path / "m.onnx", scheme="tensorrt", precision="int8")
    accuracy = score(model, images=make_folder(tmp_path / "val"))
    assert accuracy.backend == "onnxruntime-float"
    assert "float evaluation, not speed" in accuracy.notes


def test_copies_of_an_image_and_other_files_are_mentioned(tmp_path: Path) -> None:
    images = make_folder(tmp_path / "val")
    shutil.copy(images / "red" / "0.png", images / "red" / "copy.png")
    (images / "red" / "notes.txt").write_text("x")
    notes = score(make_model(tmp_path / "m.onnx"), images=images).notes
    assert any("1 images are copies" in note for note in notes)
    assert any("1 files" in note for note in notes)


def test_logits_that_are_not_numbers_are_an_error_that_names_the_image(tmp_path: Path) -> None:
    images = make_folder(tmp_path / "val", classes=("green", "red"))
    model = make_model(tmp_path / "m.onnx", gain=float("nan"))
    with pytest.raises(ModelError, match=r"green/0\.png with logits that are NaN"):
        score(model, images=images)


def test_a_damaged_image_is_an_error_that_names_it(tmp_path: Path) -> None:
    images = make_folder(tmp_path / "val")
    (images / "red" / "1.png").write_bytes((images / "red" / "1.png").read_bytes()[:40])
    with pytest.raises(ImageError, match=r"red/1\.png"):
        score(make_model(tmp_path / "m.onnx"), images=images)


def test_folders_without_images_and_unknown_labels_are_refused(tmp_path: Path) -> None:
    model = make_model(tmp_path / "m.onnx")
    with pytest.raises(InputError, match="does not exist"):
        score(model, images=tmp_path / "missing")
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match="no class folders"):
        score(model, images=tmp_path / "empty")
    (tmp_path / "hollow" / "red").mkdir(parents=True)
    with pytest.raises(InputError, match="holds no pictures"):
        score(model, images=tmp_path / "hollow")
    with pytest.raises(LabelsError, match="purple"):
        images = make_folder(tmp_path / "val", classes=("red",))
        (images / "red").rename(images / "purple")
        score(model, images=images)


def ranked(logits: Sequence[float], *, label: int) -> tuple[int, int]:
    image = IdentifiedImage(Path("x/0.png"), "x/0.png", label, "00")
    (prediction,) = predictions_from_logits(np.array([logits], np.float32), [image])
    return prediction.predicted, prediction.rank


def test_the_rank_counts_the_classes_above_the_right_one() -> None:
    assert ranked([0.1, 0.5, 0.3], label=1) == (1, 0)
    assert ranked([0.1, 0.5, 0.3], label=2) == (1, 1)
    assert ranked([0.1, 0.5, 0.3], label=0) == (1, 2)


def test_among_equal_logits_the_first_class_wins_and_a_dead_model_is_not_right_everywhere() -> None:
    assert [ranked([0.0, 0.0, 0.0], label=label)[1] for label in range(3)] == [0, 1, 2]


def test_top5_counts_the_right_class_among_five(tmp_path: Path) -> None:
    accuracy = score(
        make_model(tmp_path / "m.onnx", answers=(1, 2, 3, 0)), images=make_folder(tmp_path / "val")
    )
    assert accuracy.top5 == 1.0  # four classes


def test_the_json_has_the_contract_keys_and_predictions_only_on_demand(tmp_path: Path) -> None:
    accuracy = score(make_model(tmp_path / "m.onnx"), images=make_folder(tmp_path / "val"))
    values = accuracy.to_dict()
    assert {"n", "top1", "top5", "top1_interval"} <= set(values)
    assert values["per_class"][0] == {"label": "red", "id": "n1", "n": 3, "right": 3, "top1": 1.0}
    assert "predictions" not in values
    json.dumps(values, allow_nan=False)
    assert accuracy.line() == (
        f"{tmp_path / 'm.onnx'}  top-1 100.00 % (75.8 to 100.0)  top-5 100.00 %  12 images"
    )


def scored(tmp_path: Path) -> tuple[Path, Accuracy]:
    accuracy = score(make_model(tmp_path / "m.onnx"), images=make_folder(tmp_path / "val"))
    path = tmp_path / "m.accuracy.json"
    write_accuracy(path, accuracy)
    return path, accuracy


def test_a_file_gives_back_every_prediction(tmp_path: Path) -> None:
    path, accuracy = scored(tmp_path)
    assert read_accuracy(path) == accuracy


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ('"top1": 1.0, "top5"', '"top1": 0.9, "top5"'),
        ('"rank": 0', '"rank": 9'),
        ('"rank": 0', '"rank": "x"'),
        ('"predicted": 2', '"predicted": 4'),
        ('"backend": "onnxruntime",', ""),
        ('"version": 1', '"version": 2'),
    ],
)
def test_an_edited_or_newer_file_is_refused(tmp_path: Path, old: str, new: str) -> None:
    path, _ = scored(tmp_path)
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new, 1))
    with pytest.raises(InputError):
        read_accuracy(path)
