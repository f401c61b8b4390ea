"""The pairs that insertion writes, in the form of each scheme."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import onnx
import pytest
from numpy.typing import NDArray
from onnx import numpy_helper

from calibration.errors import CalibrationError
from calibration.graph import Graph, prepare
from calibration.insert import grids, insert_qdq
from calibration.placement import Placement, place
from calibration.rounding import fake_quantize, grid_of
from calibration.schemes import SCHEMES, Scheme
from calibration.table import CalibrationTable, Range
from tests.unit.calibration.nets import Net, run

TENSORRT = SCHEMES["tensorrt"]


def _table(placement: Placement, low: float = -4.0, high: float = 4.0) -> CalibrationTable:
    ranges = {pair.tensor: Range(low, high, "test") for pair in placement.pairs}
    return CalibrationTable("", "test", 1, 0, ranges)


def _quantize(model: onnx.ModelProto, scheme: Scheme, low: float = -4.0) -> onnx.ModelProto:
    placement = place(model, scheme)
    return insert_qdq(model, placement, _table(placement, low), scheme)


def _model(opset: int = 17) -> onnx.ModelProto:
    net = Net()
    relu = net.add("Relu", net.conv("input", 4, 3, name="a"), name="relu")
    return prepare(net.model(net.conv(relu, 5, name="b"), opset=opset))


def _batch() -> NDArray[np.float32]:
    return np.random.default_rng(2).normal(size=(2, 3, 8, 8)).astype(np.float32)


def _values(model: onnx.ModelProto) -> dict[str, NDArray[np.float32]]:
    return {tensor.name: numpy_helper.to_array(tensor) for tensor in model.graph.initializer}


@pytest.mark.parametrize("name", sorted(SCHEMES))
def test_every_scheme_gives_a_valid_graph_close_to_the_float_one(name: str) -> None:
    model = _model()
    quantized = _quantize(model, SCHEMES[name])
    onnx.checker.check_model(quantized, full_check=True)
    exact, rounded = run(model, _batch()), run(quantized, _batch())
    assert np.abs(exact - rounded).max() < 0.15 * np.abs(exact).max()


def test_tensorrt_reads_int8_weights_behind_a_dequantize_and_float_biases() -> None:
    graph = Graph(_quantize(_model(), TENSORRT))
    for name in ("a", "b"):
        _, weight, bias = graph.node(name).input
        made_by = graph.producer(weight)
        assert made_by is not None
        assert made_by.op_type == "DequantizeLinear"
        integers, scale, zero = (graph.constant(tensor) for tensor in made_by.input)
        assert integers is not None
        assert scale is not None
        assert zero is not None
        assert [str(v.dtype) for v in (integers, scale, zero)] == ["int8", "float32", "int8"]
        assert not zero.any()
        assert made_by.attribute[0].name == "axis"
        assert graph.constant(bias) is not None


def test_tensorrt_8_reads_float_weights_behind_quantize_and_dequantize() -> None:
    graph = Graph(_quantize(_model(), SCHEMES["tensorrt-8"]))
    dequantize = graph.producer(graph.node("a").input[1])
    assert dequantize is not None
    quantize = graph.producer(dequantize.input[0])
    assert quantize is not None
    assert quantize.op_type == "QuantizeLinear"
    assert graph.constant(quantize.input[0]) is not None


def test_both_forms_of_weights_compute_the_same() -> None:
    model = _model()
    ints, floats = (_quantize(model, SCHEMES[name]) for name in ("tensorrt", "tensorrt-8"))
    np.testing.assert_array_equal(run(ints, _batch()), run(floats, _batch()))


def test_onnx_runtime_reads_int32_biases_on_the_scale_of_the_products() -> None:
    graph = Graph(_quantize(_model(), SCHEMES["onnxruntime-x86"]))
    node = graph.node("b")
    scales = []
    for name in node.input:
        made_by = graph.producer(name)
        assert made_by is not None
        scales.append(graph.constant(made_by.input[1]))
    activation, weight, bias = scales
    assert activation is not None
    assert weight is not None
    assert bias is not None
    np.testing.assert_allclose(bias, activation * weight, rtol=1e-6)


def test_the_graph_computes_what_rounding_by_hand_gives() -> None:
    net = Net(channels=2, size=1)
    model = prepare(net.model(net.conv("input", 3, name="a")))
    quantized = _quantize(model, replace(TENSORRT, vector_products="int8"))
    values = _values(model)
    batch = np.array([[0.3, -1.7], [9.0, 0.01]], np.float32)
    grid = grid_of(Range(-4.0, 4.0, "test"), "int8")
    weight = fake_quantize(values["a_weight"], 0, 8).reshape(3, 2)
    expected = grid.round(batch) @ weight.T + values["a_bias"]
    actual = run(quantized, batch.reshape(2, 2, 1, 1)).reshape(2, 3)
    np.testing.assert_allclose(actual, expected, rtol=1e-5, atol=1e-6)


def test_only_the_uses_of_the_pair_read_through_it() -> None:
    net = Net(channels=4)
    both = net.add("Mul", net.conv("input", 4, name="a"), "input", name="mul")
    graph = Graph(_quantize(prepare(net.model(both)), TENSORRT))
    assert graph.node("a").input[0] == "input_DequantizeLinear_Output"
    assert graph.node("mul").input[1] == "input"


def test_pairs_of_one_group_cover_the_union_of_their_ranges() -> None:
    net = Net()
    relu = net.add("Relu", net.conv("input", 4, name="a"), name="relu")
    pool = net.add("MaxPool", relu, kernel_shape=[2, 2], strides=[2, 2], name="pool")
    branch = net.conv(relu, 4, stride=2, name="branch")
    model = prepare(net.model(net.add("Add", net.conv(pool, 4, name="deep"), branch)))
    placement = place(model, TENSORRT)
    ranges = {pair.tensor: Range(-1.0, 1.0, "test") for pair in placement.pairs}
    ranges["pool_out"] = Range(-3.0, 2.0, "test")
    found = grids(placement, CalibrationTable("", "t", 1, 0, ranges), TENSORRT)
    scale = {pair.tensor: grid.scale for pair, grid in zip(placement.pairs, found, strict=True)}
    assert scale["relu_out"] == scale["pool_out"] == np.float32(3.0 / 127)
    assert scale["input"] == np.float32(1.0 / 127)


def test_names_say_which_tensor_they_belong_to() -> None:
    quantized = _quantize(_model(), TENSORRT)
    names = {node.name for node in quantized.graph.node}
    assert {"relu_out_QuantizeLinear", "relu_out_DequantizeLinear"} <= names
    assert "a_weight_DequantizeLinear" in names
    assert {"relu_out_scale", "relu_out_zero_point", "a_weight_quantized"} <= set(
        _values(quantized)
    )


def test_float_weights_do_not_stay_in_the_file() -> None:
    assert "a_weight" not in _values(_quantize(_model(), TENSORRT))


def test_metadata_and_the_given_model_are_kept() -> None:
    model = _model()
    before = model.SerializeToString()
    quantized = _quantize(model, TENSORRT)
    assert model.SerializeToString() == before
    assert quantized.metadata_props[0].value == "contract"


def test_7_bit_weights_stay_within_64() -> None:
    largest = {
        name: np.abs(_values(_quantize(_model(), SCHEMES[name]))["a_weight_quantized"]).max()
        for name in ("onnxruntime-x86", "onnxruntime-x86-vnni")
    }
    assert largest == {"onnxruntime-x86": 64, "onnxruntime-x86-vnni": 127}


def test_a_dead_channel_does_not_break_the_graph() -> None:
    model = _model()
    for tensor in model.graph.initializer:
        if tensor.name == "a_weight":
            weight = numpy_helper.to_array(tensor).copy()
            weight[1] = 0.0
            tensor.CopyFrom(numpy_helper.from_array(weight, "a_weight"))
    for name in ("tensorrt", "onnxruntime-x86"):
        quantized = _quantize(model, SCHEMES[name])
        assert (_values(quantized)["a_weight_scale"] > 0).all()
        assert np.isfinite(run(quantized, _batch())).all()


def test_logits_of_a_convolution_keep_the_name_of_the_output() -> None:
    model = _model()
    quantized = _quantize(model, SCHEMES["onnxruntime-x86"])
    assert quantized.graph.output[0].name == "b_out"
    made_by = Graph(quantized).producer("b_out")
    assert made_by is not None
    assert made_by.op_type == "DequantizeLinear"


@pytest.mark.parametrize("opset", [13, 17, 20, 21, 23])
@pytest.mark.parametrize("name", ["tensorrt", "onnxruntime-x86"])
def test_pairs_are_valid_in_every_opset(name: str, opset: int) -> None:
    quantized = _quantize(_model(opset), SCHEMES[name])
    onnx.checker.check_model(quantized, full_check=True)
    assert np.isfinite(run(quantized, _batch())).all()


def test_a_table_without_the_range_is_an_error() -> None:
    model = _model()
    placement = place(model, TENSORRT)
    with pytest.raises(CalibrationError, match="no range for tensor 'input'"):
        insert_qdq(model, placement, CalibrationTable("", "t", 1, 0, {}), TENSORRT)


def test_a_placement_of_another_model_is_an_error() -> None:
    model = _model()
    placement = place(model, TENSORRT)
    foreign = replace(placement.weights[0], initializer="elsewhere")
    with pytest.raises(CalibrationError, match="'elsewhere' is not a constant of this model"):
        insert_qdq(model, replace(placement, weights=(foreign,)), _table(placement), TENSORRT)


def test_fused_integer_kernels_agree_with_the_float_evaluation_on_every_x86() -> None:
    net = Net(channels=16)
    relu = net.add("Relu", net.conv("input", 32, 3, name="a"), name="relu")
    model = prepare(net.model(net.conv(relu, 16, name="b")))
    quantized = _quantize(model, SCHEMES["onnxruntime-x86"])
    batch = np.random.default_rng(3).normal(size=(2, 16, 8, 8)).astype(np.float32)
    apart = np.abs(run(quantized, batch) - run(quantized, batch, fused=True))
    step = float(_values(quantized)["b_out_scale"])
    assert apart.max() <= step * 1.01
    assert (apart > step / 2).mean() < 0.02
