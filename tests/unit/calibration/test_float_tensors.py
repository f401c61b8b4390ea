"""A range for every float tensor: shared where values only move, fused where they are cut."""

from __future__ import annotations

import numpy as np
import onnx
import pytest

from calibration.errors import CalibrationError
from calibration.float_tensors import complete_ranges, float_tensors
from calibration.graph import Graph, prepare
from calibration.table import Range
from calibration.tensorrt_cache import cache_from_ranges
from tests.unit.calibration.nets import Net


def _model() -> tuple[onnx.ModelProto, Graph]:
    net = Net()
    left = net.clip(net.conv("input", 4, 3, name="left"), name="cut_left")
    right = net.add("Relu", net.conv("input", 4, 3, name="right"), name="cut_right")
    joined = net.add("Concat", left, right, name="joined", axis=1, channels=8)
    model = prepare(net.model(net.conv(joined, 3, name="last")))
    return model, Graph(model)


def test_the_tensors_are_the_input_and_everything_computed_in_float() -> None:
    _, graph = _model()
    assert float_tensors(graph) == (
        "input", "left_out", "cut_left_out", "right_out", "cut_right_out", "joined_out", "last_out",
    )  # fmt: skip


def test_all_tensors_around_a_concat_get_the_union_of_their_ranges() -> None:
    model, _ = _model()
    given = {"cut_left_out": Range(0.0, 2.0, "t"), "cut_right_out": Range(0.0, 5.0, "t")}
    found = complete_ranges(model, given)
    spans = {found[name].amax for name in ("cut_left_out", "cut_right_out", "joined_out")}
    assert spans == {5.0}


def test_what_only_an_activation_reads_takes_the_range_of_its_result() -> None:
    model, _ = _model()
    found = complete_ranges(model, {"cut_left_out": Range(0.0, 2.0, "t")})
    assert found["left_out"].amax == 2.0
    assert "last_out" not in found


def test_the_others_are_measured_on_images() -> None:
    model, graph = _model()
    images = np.random.default_rng(0).normal(size=(8, 3, 8, 8)).astype(np.float32)
    found = complete_ranges(model, {}, batches=lambda: [images], method="minmax")
    assert tuple(found) == float_tensors(graph)
    assert found["input"].amax == pytest.approx(np.abs(images).max(), rel=1e-6)
    assert found["cut_left_out"] == found["cut_right_out"] == found["joined_out"]


def test_without_images_a_cache_of_all_tensors_is_an_error() -> None:
    model, graph = _model()
    found = complete_ranges(model, {"input": Range(-1.0, 1.0, "t")})
    with pytest.raises(CalibrationError, match="6 of 7 tensors have no range"):
        cache_from_ranges(found, tensors=float_tensors(graph), tensorrt="8.5.2")
