from __future__ import annotations

import json
import math
from dataclasses import replace
from pathlib import Path

import pytest

from tests.unit.toolkit.colour_models import LABELS, colour_contract, make_folder, make_model
from toolkit.compare import compare
from toolkit.comparison import pair_accuracies, write_comparison
from toolkit.errors import ContractError, InputError, LabelsError, LeakageError, ModelError
from toolkit.images import image_digest
from toolkit.score import score
from toolkit.statistics import paired_drop_interval


def test_a_model_does_not_differ_from_itself(tmp_path: Path) -> None:
    model = make_model(tmp_path / "m.onnx")
    found = compare(model, model, images=make_folder(tmp_path / "val"))
    assert (found.n, found.drop_points, found.agreement, found.mcnemar_p) == (12, 0.0, 1.0, 1.0)
    assert found.flips() == ()
    assert found.sqnr_db == math.inf
    assert found.mean_kl == 0.0
    assert 0.0 in found.drop_interval
    assert found.verdict == "no difference shown"


def test_a_model_that_loses_one_class_is_worse_by_its_share(tmp_path: Path) -> None:
    a = make_model(tmp_path / "a.onnx")
    b = make_model(tmp_path / "b.onnx", answers=(0, 1, 1, 3))
    found = compare(a, b, images=make_folder(tmp_path / "val", each=10))
    assert (found.only_a, found.only_b) == (10, 0)
    assert found.drop_points == pytest.approx(25.0)
    expected = paired_drop_interval(10, 0, 40)
    assert found.drop_interval.low == pytest.approx(100.0 * expected.low)
    assert found.agreement == 0.75
    assert found.mcnemar_p == pytest.approx(2.0 * 0.5**10)
    assert found.verdict == "worse"
    back = compare(b, a, images=tmp_path / "val")
    assert back.verdict == "better"
    assert back.drop_points == pytest.approx(-25.0)


def test_flips_name_the_image_the_truth_and_both_answers(tmp_path: Path) -> None:
    a = make_model(tmp_path / "a.onnx", answers=(0, 1, 1, 0))
    b = make_model(tmp_path / "b.onnx", answers=(0, 2, 2, 2))
    found = compare(a, b, images=make_folder(tmp_path / "val", each=1))
    flips = {flip.label: (flip.a, flip.b, flip.effect) for flip in found.flips()}
    assert flips == {
        "green": ("green", "blue", "lost"),
        "blue": ("green", "blue", "gained"),
        "dark": ("red", "blue", ""),
    }
    first = found.flips()[0]
    assert first.path == "blue/0.png"
    assert first.image == image_digest(tmp_path / "val" / first.path)
    assert 0.0 < first.confidence_a <= 1.0


def test_the_distance_of_logits_is_in_decibels(tmp_path: Path) -> None:
    a = make_model(tmp_path / "a.onnx", gain=10.0)
    b = make_model(tmp_path / "b.onnx", gain=9.0)  # every logit is nine tenths
    found = compare(a, b, images=make_folder(tmp_path / "val"))
    assert found.sqnr_db == pytest.approx(20.0, abs=1e-3)
    assert found.mean_kl is not None
    assert found.mean_kl > 0.0
    assert found.agreement == 1.0


def test_the_json_has_the_contract_keys(tmp_path: Path) -> None:
    a = make_model(tmp_path / "a.onnx")
    b = make_model(tmp_path / "b.onnx", answers=(0, 1, 1, 3))
    found = compare(a, b, images=make_folder(tmp_path / "val"))
    values = json.loads(json.dumps(found.to_dict(), allow_nan=False))
    contract = [
        "n",
        "top1_a",
        "top1_b",
        "drop_points",
        "drop_interval",
        "agreement",
        "mcnemar_p",
        "flips",
    ]
    assert set(contract) <= set(values)
    assert (values["top1_a"], values["top1_b"]) == (1.0, 0.75)
    assert len(values["flips"]) == 3
    write_comparison(tmp_path / "c.comparison.json", found)
    assert json.loads((tmp_path / "c.comparison.json").read_text())["kind"] == "edgekit comparison"


def test_equal_logits_are_said_in_json_without_infinity(tmp_path: Path) -> None:
    model = make_model(tmp_path / "m.onnx")
    values = compare(model, model, images=make_folder(tmp_path / "val")).to_dict()
    assert (values["sqnr_db"], values["identical_logits"]) == (None, True)
    json.dumps(values, allow_nan=False)


def test_few_images_say_how_many_would_show_half_a_point(tmp_path: Path) -> None:
    model = make_model(tmp_path / "m.onnx")
    found = compare(model, model, images=make_folder(tmp_path / "val"))
    assert "would show one of 0.5 points" in found.notes[-1]


def test_one_image_is_compared_with_an_interval_that_says_nothing(tmp_path: Path) -> None:
    model = make_model(tmp_path / "m.onnx")
    found = compare(model, model, images=make_folder(tmp_path / "val", each=1, classes=("red",)))
    assert found.n == 1
    assert found.drop_interval.width > 100.0


def test_models_with_other_classes_are_refused_and_the_first_one_is_named(tmp_path: Path) -> None:
    images = make_folder(tmp_path / "val")
    a = make_model(tmp_path / "a.onnx")
    b = make_model(tmp_path / "b.onnx", labels=("red", "green", "cyan", "dark"))
    with pytest.raises(LabelsError, match=r"class 2 is 'blue' \(n3\) in a.onnx and 'cyan' \(n3\)"):
        compare(a, b, images=images)


def test_models_that_prepare_pictures_differently_are_refused_unless_allowed(
    tmp_path: Path,
) -> None:
    images = make_folder(tmp_path / "val")
    a = make_model(tmp_path / "a.onnx")
    other = replace(colour_contract().preprocess, std=(0.5, 0.5, 0.5))
    b = make_model(tmp_path / "b.onnx", preprocess=other, dark=0.6)
    with pytest.raises(ContractError, match=r"std \(1.0, 1.0, 1.0\) and \(0.5, 0.5, 0.5\)") as said:
        compare(a, b, images=images)
    assert "--allow-different-preprocess" in said.value.next_command
    found = compare(a, b, images=images, allow_different_preprocess=True)
    assert (found.a.top1, found.b.top1) == (1.0, 1.0)
    assert found.sqnr_db == pytest.approx(0.0, abs=1e-3)  # the logits are twice as large


def test_engines_of_different_fixed_batches_are_compared(tmp_path: Path) -> None:
    a = make_model(tmp_path / "a.onnx", input_shape=(5, 3, 8, 8))
    b = make_model(tmp_path / "b.onnx", input_shape=(2, 3, 8, 8))
    found = compare(a, b, images=make_folder(tmp_path / "val"))
    assert (found.n, found.agreement) == (12, 1.0)


def test_images_that_either_was_calibrated_on_are_refused(tmp_path: Path) -> None:
    images = make_folder(tmp_path / "val")
    a = make_model(tmp_path / "a.onnx")
    seen = (image_digest(images / "red" / "0.png"),)
    b = make_model(tmp_path / "b.onnx", calibration_images=seen, calibration="ab")
    with pytest.raises(LeakageError, match=r"calibrate b\.onnx"):
        compare(a, b, images=images)


def test_logits_that_are_not_numbers_are_an_error(tmp_path: Path) -> None:
    a = make_model(tmp_path / "a.onnx")
    b = make_model(tmp_path / "b.onnx", gain=float("inf"))
    with pytest.raises(ModelError, match=r"b\.onnx answers"):
        compare(a, b, images=make_folder(tmp_path / "val"))


def test_notes_say_which_model_they_are_about(tmp_path: Path) -> None:
    a = make_model(tmp_path / "a.onnx")
    b = make_model(tmp_path / "b.onnx", scheme="tensorrt", precision="int8")
    found = compare(a, b, images=make_folder(tmp_path / "val"))
    assert f"{b}: float evaluation, not speed" in found.notes


def test_two_scores_of_the_same_images_are_paired_afterwards(tmp_path: Path) -> None:
    images = make_folder(tmp_path / "val", each=5)
    a = make_model(tmp_path / "a.onnx")
    b = make_model(tmp_path / "b.onnx", answers=(0, 1, 1, 3))
    paired = pair_accuracies(score(a, images=images), score(b, images=images))
    direct = compare(a, b, images=images)
    assert paired.drop_interval == direct.drop_interval
    assert paired.flips() == direct.flips()
    assert paired.sqnr_db is None
    assert paired.to_dict()["identical_logits"] is None


def test_scores_of_other_images_or_classes_are_not_paired(tmp_path: Path) -> None:
    images = make_folder(tmp_path / "val", each=5)
    model = make_model(tmp_path / "a.onnx")
    whole, part = score(model, images=images), score(model, images=images, limit=8)
    with pytest.raises(InputError, match=r"20 images and .* on 8, 12 of which"):
        pair_accuracies(whole, part)
    with pytest.raises(InputError, match="same classes"):
        pair_accuracies(whole, replace(whole, labels=LABELS[::-1]))
