"""What a Q/DQ file holds: its pairs, its weights, and along which axis they are scaled."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
from onnx import helper, numpy_helper

from calibration.errors import CalibrationError
from calibration.faults.stored import (
    named,
    read_through,
    stored_pairs,
    weight_axis,
    with_rounded_weights,
)
from tests.unit.calibration.nets import run
from tests.unit.toolkit.onnx_graphs import classifier, quantized_classifier


def test_pairs_are_read_with_their_ranges() -> None:
    pairs = stored_pairs(named(quantized_classifier()))
    assert pairs["image"].symmetric
    assert pairs["image"].span.low == pytest.approx(-4.0)
    assert pairs["image"].span.high == pytest.approx(4.0)
    unsigned = stored_pairs(named(quantized_classifier(activations="uint8")))
    assert not unsigned["r1"].symmetric
    assert (unsigned["r1"].span.low, unsigned["r1"].span.high) == pytest.approx((0.0, 6.0))


def test_layers_know_the_tensor_they_read_through() -> None:
    reads = read_through(named(quantized_classifier()))
    assert (reads["conv1"], reads["conv2"]) == ("image", "r1")
    assert "fc" not in reads


def test_a_float_model_is_refused() -> None:
    with pytest.raises(CalibrationError, match="not an INT8 model"):
        stored_pairs(named(classifier()))


@pytest.mark.parametrize("scale", [0.0, -1.0, float("nan")])
def test_a_scale_that_is_not_positive_is_refused(scale: float) -> None:
    model = named(quantized_classifier())
    tensor = next(t for t in model.graph.initializer if t.name == "r1_s")
    tensor.CopyFrom(numpy_helper.from_array(np.array(scale, np.float32), "r1_s"))
    with pytest.raises(CalibrationError, match="positive scale"):
        stored_pairs(model)


def _float_weight_model() -> onnx.ModelProto:
    """image -> Conv whose weight stands in float behind Q and DQ, as TensorRT 8 wants it."""
    rng = np.random.default_rng(0)
    weight = rng.normal(size=(4, 3, 1, 1)).astype(np.float32)
    scale = (np.abs(weight).max(axis=(1, 2, 3)) / 7).astype(np.float32)  # coarse: rounding shows
    constants = {"w": weight, "s": scale, "z": np.zeros(4, np.int8)}
    nodes = [
        helper.make_node("QuantizeLinear", ["w", "s", "z"], ["wq"], "q", axis=0),
        helper.make_node("DequantizeLinear", ["wq", "s", "z"], ["wd"], "d", axis=0),
        helper.make_node("Conv", ["image", "wd"], ["out"], "conv"),
    ]
    shape: list[str | int | None] = ["n", 3, 2, 2]
    graph = helper.make_graph(
        nodes,
        "g",
        [helper.make_tensor_value_info("image", onnx.TensorProto.FLOAT, shape)],
        [helper.make_tensor_value_info("out", onnx.TensorProto.FLOAT, None)],
        [numpy_helper.from_array(value, name) for name, value in constants.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)])
    model.ir_version = 8
    return model


def test_float_weights_behind_q_and_dq_become_what_the_engine_multiplies_with() -> None:
    model = _float_weight_model()
    rounded = with_rounded_weights(named(model))
    before, after = (
        numpy_helper.to_array(next(t for t in m.graph.initializer if t.name == "w"))
        for m in (model, rounded)
    )
    assert not np.array_equal(before, after)
    batch = np.random.default_rng(1).normal(size=(2, 3, 2, 2)).astype(np.float32)
    np.testing.assert_allclose(run(model, batch), run(rounded, batch), rtol=1e-6)


def test_the_axis_of_a_weight_is_held_against_its_output_channels() -> None:
    model = named(_float_weight_model())
    found = weight_axis(model, "conv")
    assert found is not None and not found.wrong
    for node in model.graph.node:
        for entry in node.attribute:
            if entry.name == "axis":
                entry.i = 1
    found = weight_axis(model, "conv")
    assert found is not None and found.wrong and (found.axis, found.wanted) == (1, 0)
    assert weight_axis(named(classifier()), "conv1") is None
