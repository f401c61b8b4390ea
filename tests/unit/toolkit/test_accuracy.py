from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from tests.unit.toolkit.report.run_examples import accuracy_of
from toolkit.accuracy import Confusion, read_accuracy, write_accuracy
from toolkit.statistics import images_for_accuracy, wilson_interval


def test_the_confusion_names_the_wrong_answers_the_most_frequent_first() -> None:
    found = accuracy_of("a" * 64, [0, 2, 1, 2, 0])
    assert found.confusion() == (Confusion("tench", "newt", 2), Confusion("tench", "eel", 1))
    assert accuracy_of("a" * 64, [0, 0]).confusion() == ()


def test_the_record_holds_classes_confusion_and_calibration_error(tmp_path: Path) -> None:
    found = accuracy_of("a" * 64, [0, 1, 1, 0, 0])  # 60 % right at a confidence of 0.9
    write_accuracy(tmp_path / "a.accuracy.json", found)
    values = json.loads((tmp_path / "a.accuracy.json").read_text())
    assert values["ece"] == pytest.approx(0.3)
    assert values["ece_interval"][0] <= 0.3 <= values["ece_interval"][1]
    assert values["confusion"] == [{"label": "tench", "predicted": "eel", "n": 2}]
    assert values["per_class"][0]["top1"] == 0.6
    assert read_accuracy(tmp_path / "a.accuracy.json") == found


def test_a_model_that_is_always_wrong_and_one_image_have_an_error_too() -> None:
    assert accuracy_of("a" * 64, [1, 2]).confidence_error.value == pytest.approx(0.9)
    one = accuracy_of("a" * 64, [0])
    sure = replace(one, predictions=(replace(one.predictions[0], confidence=1.0),))
    assert sure.confidence_error.value == 0.0


@pytest.mark.parametrize(("accuracy", "points"), [(0.7, 0.5), (0.72, 2.0), (1.0, 1.0), (0.5, 5.0)])
def test_the_planned_images_bound_the_accuracy(accuracy: float, points: float) -> None:
    needed = images_for_accuracy(accuracy, points=points)
    for n, enough in ((needed, True), (int(0.97 * needed), False)):
        half = 50.0 * wilson_interval(round(accuracy * n), n).width
        if accuracy < 1.0:  # Wilson's interval of n out of n ends at 1
            assert (half <= points * 1.002) == enough
    assert f"about {needed} images" in accuracy_of("a", [0] * 10).plan(points) or accuracy < 1.0


def test_points_that_bound_nothing_are_refused() -> None:
    for points in (0.0, 50.0, -1.0):
        with pytest.raises(ValueError, match="cannot be bounded"):
            images_for_accuracy(0.5, points=points)
