"""The FP16 form of a graph."""

from __future__ import annotations

from collections import Counter

import numpy as np
import onnx
import pytest
from numpy.typing import NDArray
from onnx import TensorProto

from calibration.errors import CalibrationError
from calibration.graph import prepare
from calibration.insert import insert_qdq
from calibration.nodes import constants, set_constant
from calibration.placement import place
from calibration.precision import fp16_model, largest_magnitudes
from calibration.schemes import SCHEMES
from calibration.table import CalibrationTable, Range
from tests.unit.calibration.nets import Net, run


def _classifier(opset: int = 20) -> onnx.ModelProto:
    net = Net()
    pool = net.add("GlobalAveragePool", net.add("Relu", net.conv("input", 4, 3, name="a")))
    logits = net.gemm(net.add("Flatten", pool, name="flat"), 4, 5)
    return prepare(net.model(net.add("Softmax", logits, name="softmax"), opset=opset))


def _quantized(opset: int = 20, high: float = 4.0) -> onnx.ModelProto:
    model = _classifier(opset)
    scheme = SCHEMES["tensorrt"]
    placement = place(model, scheme)
    ranges = {pair.tensor: Range(-high, high, "test") for pair in placement.pairs}
    return insert_qdq(model, placement, CalibrationTable("", "t", 1, 0, ranges), scheme)


def _batch(scale: float = 1.0) -> NDArray[np.float32]:
    batch = np.random.default_rng(2).normal(size=(2, 3, 8, 8)) * scale
    return batch.astype(np.float32)


def test_inputs_and_outputs_stay_float32_and_weights_become_float16() -> None:
    half, _ = fp16_model(_classifier())
    onnx.checker.check_model(half, full_check=True)
    kinds = {v.type.tensor_type.elem_type for v in (*half.graph.input, *half.graph.output)}
    assert kinds == {TensorProto.FLOAT}
    assert constants(half.graph)["a_weight"].dtype == np.float16


def test_the_fp16_form_is_close_to_the_float_model() -> None:
    model = _classifier()
    half, _ = fp16_model(model)
    np.testing.assert_allclose(run(half, _batch()), run(model, _batch()), rtol=2e-2, atol=2e-3)


def test_the_softmax_stays_float_and_is_noted() -> None:
    half, notes = fp16_model(_classifier())
    assert "softmax stays float: asked for" in notes
    softmax = next(node for node in half.graph.node if node.op_type == "Softmax")
    before = next(node for node in half.graph.node if softmax.input[0] in node.output)
    assert before.op_type == "Cast"


def test_nodes_can_be_kept_by_name() -> None:
    half, notes = fp16_model(_classifier(), keep={"a"})
    assert constants(half.graph)["a_weight"].dtype == np.float32
    assert notes[0] == "a stays float: asked for"


def test_the_model_given_is_not_changed() -> None:
    model = _classifier()
    before = model.SerializeToString()
    fp16_model(model, batches=[_batch()])
    assert model.SerializeToString() == before


def test_metadata_survives() -> None:
    half, _ = fp16_model(_classifier())
    assert half.metadata_props[0].value == "contract"


def _overflowing() -> onnx.ModelProto:
    model = _classifier()
    set_constant(model, "a_weight", constants(model.graph)["a_weight"] * np.float32(1e3))
    return model


def test_a_tensor_beyond_65504_keeps_its_neighbours_float() -> None:
    model = _overflowing()
    half, notes = fp16_model(model, batches=[_batch(), _batch(1e3)])
    assert any(note.startswith("a stays float: a_out reaches") for note in notes)
    exact, result = run(model, _batch(1e3)), run(half, _batch(1e3))
    assert np.isfinite(result).all()
    np.testing.assert_allclose(result, exact, atol=5e-3)


def test_an_input_beyond_65504_is_not_cast() -> None:
    model = _classifier()
    half, _ = fp16_model(model, batches=[_batch(1e6)])
    np.testing.assert_allclose(run(half, _batch(1e6)), run(model, _batch(1e6)), atol=5e-3)


def test_no_fp16_stands_between_two_nodes_that_stay_float() -> None:
    half, _ = fp16_model(_classifier(), keep={"a", "relu1"})
    relu = next(node for node in half.graph.node if node.op_type == "Relu")
    before = next(node for node in half.graph.node if relu.input[0] in node.output)
    assert before.op_type == "Conv"


def test_a_weight_beyond_65504_stays_float() -> None:
    model = _classifier()
    set_constant(model, "gemm_bias", np.array([1e6, 0, 0, 0, 0], np.float32))
    half, notes = fp16_model(model)
    assert "gemm stays float: gemm_bias reaches 1e+06, FP16 ends at 65504" in notes
    assert constants(half.graph)["gemm_bias"].max() == 1e6


def test_denormal_weights_are_counted() -> None:
    model = _classifier()
    set_constant(model, "gemm_bias", np.array([1e-5, 1e-7, 0, 1, 1], np.float32))
    _, notes = fp16_model(model)
    assert any("2 constants are below 6.1e-05" in note and "gemm_bias" in note for note in notes)


def test_a_qdq_graph_gets_fp16_scales() -> None:
    half, _ = fp16_model(_quantized())
    onnx.checker.check_model(half, full_check=True)
    scales = {name: v for name, v in constants(half.graph).items() if name.endswith("_scale")}
    assert scales
    assert {values.dtype for values in scales.values()} == {np.dtype(np.float16)}
    kinds = Counter(node.op_type for node in half.graph.node)
    assert (kinds["QuantizeLinear"], kinds["DequantizeLinear"]) == (1, 2)
    np.testing.assert_allclose(
        run(half, _batch()), run(_quantized(), _batch()), rtol=5e-2, atol=5e-3
    )


def test_a_scale_too_small_for_fp16_stays_float() -> None:
    half, notes = fp16_model(_quantized(high=1e-6))
    assert any("is too small for FP16" in note for note in notes)
    assert constants(half.graph)["input_scale"].dtype == np.float32


def test_fp16_scales_need_opset_19() -> None:
    with pytest.raises(CalibrationError, match="opset 17; FP16 scales need opset 19"):
        fp16_model(_quantized(opset=17))


def test_a_float_graph_may_have_any_opset() -> None:
    half, _ = fp16_model(_classifier(opset=17))
    assert np.isfinite(run(half, _batch())).all()


def test_the_largest_magnitude_is_that_of_all_batches() -> None:
    net = Net(channels=1, size=1)
    model = net.model(net.add("Neg", "input", name="n"))
    batches = [np.full((1, 1, 1, 1), value, np.float32) for value in (2.0, -7.0, 3.0)]
    assert largest_magnitudes(model, batches) == {"input": 7.0, "n_out": 7.0}
