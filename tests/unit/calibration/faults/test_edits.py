"""One repair on a copy of the graph changes what it says, and nothing else."""

from __future__ import annotations

import numpy as np
import pytest
from onnx import numpy_helper

from calibration.errors import CalibrationError
from calibration.faults.edits import with_bias, with_layer_in_float, with_range, with_weight
from calibration.faults.stored import named, stored_pairs
from calibration.table import Range
from tests.unit.calibration.nets import run
from tests.unit.toolkit.onnx_graphs import classifier, quantized_classifier

BATCH = np.random.default_rng(0).normal(size=(3, 3, 16, 16)).astype(np.float32)


@pytest.mark.parametrize("activations", ["int8", "uint8"])
def test_a_range_is_changed_for_its_tensor_alone(activations: str) -> None:
    model = named(quantized_classifier(activations=activations))
    pairs = stored_pairs(model)
    low = -2.5 if activations == "int8" else 0.0
    changed = stored_pairs(with_range(model, pairs["r1"], Range(low, 2.5, "test")))
    assert changed["r1"].span.high == pytest.approx(2.5, rel=1e-3)
    assert changed["image"].span == pairs["image"].span
    assert stored_pairs(model)["r1"].span == pairs["r1"].span


def test_float_weight_and_bias_and_input_make_a_layer_float() -> None:
    model = named(quantized_classifier())
    floats = {t.name: numpy_helper.to_array(t) for t in classifier().graph.initializer}
    for layer, weight, bias in (("conv1", "w1", "b1"), ("conv2", "w2", "b2")):
        model = with_layer_in_float(model, layer, floats[weight], floats[bias])
    assert not [node for node in model.graph.node if node.op_type == "QuantizeLinear"]
    np.testing.assert_allclose(run(model, BATCH), run(classifier(), BATCH), rtol=1e-4, atol=1e-5)


def test_a_bias_and_a_weight_are_replaced() -> None:
    model = named(quantized_classifier())
    before = run(model, BATCH)
    assert not np.array_equal(
        before, run(with_bias(model, "conv1", np.ones(16, np.float32)), BATCH)
    )
    nothing = with_weight(model, "conv2", np.zeros((16, 16, 3, 3), np.float32))
    assert np.ptp(run(nothing, BATCH), axis=0).max() < 1e-6
    np.testing.assert_array_equal(run(model, BATCH), before)


def test_a_layer_that_is_not_there_is_named() -> None:
    with pytest.raises(CalibrationError, match="'gone'"):
        with_bias(named(quantized_classifier()), "gone", np.zeros(4, np.float32))
