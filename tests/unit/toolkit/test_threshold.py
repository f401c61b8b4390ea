from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from tests.unit.toolkit.colour_models import make_folder, make_model
from tests.unit.toolkit.report.run_examples import accuracy_of
from toolkit.accuracy import Accuracy
from toolkit.compare import compare
from toolkit.errors import InputError
from toolkit.threshold import threshold_at


def scored(*answers: tuple[float, bool]) -> Accuracy:
    """A score with these confidences, right or wrong."""
    made = accuracy_of("a" * 64, [0 if right else 1 for _, right in answers])
    predictions = tuple(
        replace(prediction, confidence=confidence)
        for prediction, (confidence, _) in zip(made.predictions, answers, strict=True)
    )
    return replace(made, predictions=predictions)


A = scored((0.9, True), (0.8, True), (0.7, False), (0.6, True), (0.5, False))
B = scored((0.95, True), (0.75, True), (0.72, False), (0.4, True), (0.3, False))


def test_the_lowest_threshold_of_the_wanted_precision_is_carried_over() -> None:
    found = threshold_at(A, B, precision=0.75)
    assert found is not None
    assert found.confidence == 0.6
    assert (found.a.answered, found.a.right) == (4, 3)
    assert (found.b.answered, found.b.right) == (3, 2)


def test_the_highest_threshold_of_the_wanted_coverage_is_carried_over() -> None:
    found = threshold_at(A, B, coverage=0.4)
    assert found is not None
    assert found.confidence == 0.8
    assert (found.b.answered, found.b.right) == (1, 1)
    assert found.b.coverage.low < 0.2 < found.b.coverage.high


def test_images_of_equal_confidence_are_answered_together() -> None:
    tied = scored((0.9, True), (0.9, False), (0.5, True))
    found = threshold_at(tied, tied, coverage=0.1)
    assert found is not None
    assert found.a.answered == 2


def test_a_threshold_that_leaves_nothing_of_b_says_so() -> None:
    found = threshold_at(A, scored(*[(0.1, True)] * 5), precision=1.0)
    assert found is not None
    assert "no image answered" in found.line()
    assert found.to_dict()["b"]["precision"] is None


def test_a_precision_that_is_never_reached_and_wants_that_clash_are_refused() -> None:
    with pytest.raises(InputError, match="At no confidence are 90 %"):
        threshold_at(scored((0.9, False), (0.8, True)), A, precision=0.9)
    for wrong in ({"precision": 0.9, "coverage": 0.9}, {"precision": 0.0}, {"coverage": 95.0}):
        with pytest.raises(InputError, match="one of them"):
            threshold_at(A, B, **wrong)
    assert threshold_at(A, B) is None


def test_a_comparison_carries_the_threshold_and_the_plan(tmp_path: Path) -> None:
    a = make_model(tmp_path / "a.onnx")
    b = make_model(tmp_path / "b.onnx", gain=2.0)
    images = make_folder(tmp_path / "val")
    found = compare(a, b, images=images, at_precision=1.0, plan=2.0)
    values = json.loads(json.dumps(found.to_dict(), allow_nan=False))
    assert values["threshold"]["a"]["precision"] == 1.0
    assert values["threshold"]["b"]["answered"] == 0  # a fifth of the gain: less confident
    assert values["plan"] == {"points": 2.0, "images": found.images_to_show(2.0)}
    assert any(note.startswith("threshold ") for note in found.notes)
    assert "would show one of 2 points" in found.notes[-1]
    plain = compare(a, b, images=images).to_dict()
    assert (plain["threshold"], plain["plan"]) == (None, None)
