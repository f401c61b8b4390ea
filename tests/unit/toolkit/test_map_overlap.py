"""Activation maps of two models over many pictures, worked out by hand."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest
from numpy.typing import NDArray

from toolkit.map_overlap import MapComparison
from toolkit.runtime.session import Mapped

RISING = np.arange(5, dtype=np.float32).reshape(1, 5)  # one cell is a fifth of it: the last
FALLING = RISING[:, ::-1].copy()
FLAT = np.full((1, 5), 2.0, np.float32)


def answers(maps: list[NDArray[np.float32]], winners: list[int]) -> Mapped:
    return Mapped(np.eye(3, dtype=np.float32)[winners], np.stack(maps))


def test_figures_are_means_over_all_batches() -> None:
    comparison = MapComparison()
    comparison.add(answers([RISING, RISING], [0, 1]), answers([RISING, FALLING], [0, 2]))
    comparison.add(answers([RISING], [2]), answers([FLAT], [2]))
    found = comparison.overlap()
    assert found is not None
    assert found.images == 3
    assert found.iou == pytest.approx(1 / 3)  # 1, 0, and 0 of the flat map's first cell
    assert found.correlation == pytest.approx(0.0)  # 1 and -1
    assert (found.flat, found.same_winner) == (1, 2)
    assert found.iou_of_same_winner == pytest.approx(0.5)
    assert found.iou in found.iou_interval
    assert found.correlation in found.correlation_interval
    assert "overlaps by 0.33" in found.line() and "correlation 0.000, 3 images" in found.line()


def test_the_interval_narrows_with_pictures() -> None:
    rng = np.random.default_rng(0)
    found = []
    for count in (8, 200):
        comparison = MapComparison()
        maps = [list(rng.normal(size=(count, 4, 5)).astype(np.float32)) for _ in range(2)]
        winners = [0] * count
        comparison.add(answers(maps[0], winners), answers(maps[1], winners))
        overlap = comparison.overlap()
        assert overlap is not None
        found.append(overlap)
    assert 0.0 < found[1].iou_interval.width < 0.5 * found[0].iou_interval.width
    assert found[1].iou == pytest.approx(0.11, abs=0.03)  # of maps that have nothing in common


def test_before_any_picture_there_are_no_figures() -> None:
    assert MapComparison().overlap() is None
    comparison = MapComparison()
    empty = Mapped(np.empty((0, 3), np.float32), np.empty((0, 1, 5), np.float32))
    comparison.add(empty, empty)
    assert comparison.overlap() is None


def test_what_does_not_exist_is_null() -> None:
    comparison = MapComparison()
    comparison.add(answers([FLAT, FLAT], [0, 0]), answers([RISING, FLAT], [1, 2]))
    found = comparison.overlap()
    assert found is not None
    assert math.isnan(found.correlation) and math.isnan(found.iou_of_same_winner)
    values = json.loads(json.dumps(found.to_dict(), allow_nan=False))
    assert values["correlation"] is None and values["iou_of_same_winner"] is None
    assert values["correlation_interval"] == [None, None]
    assert (values["flat"], values["same_winner"], values["images"]) == (2, 0, 2)


SMALL = np.array([[0, 1], [2, 8]], np.float32)
LARGE = np.kron(SMALL, np.ones((3, 3), np.float32))


@pytest.mark.parametrize(
    ("first", "second", "iou"),
    [(SMALL, LARGE, 1.0), (LARGE, SMALL, 5 / 9)],  # the first of the nine eights, by reading order
    ids=["small first", "large first"],
)
def test_maps_of_different_sizes_are_compared_at_the_first_ones(
    first: NDArray[np.float32], second: NDArray[np.float32], iou: float
) -> None:
    comparison = MapComparison()
    comparison.add(answers([first], [1]), answers([second], [1]))
    found = comparison.overlap()
    assert found is not None
    assert found.iou == pytest.approx(iou)
    assert found.correlation > 0.9


def test_answers_to_different_pictures_are_refused() -> None:
    with pytest.raises(ValueError, match="argument"):
        MapComparison().add(answers([RISING], [0]), answers([RISING, RISING], [0, 0]))
