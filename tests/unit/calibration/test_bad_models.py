"""Models with something wrong in them, through `quantize`: refused by name or done soundly."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
from numpy.typing import NDArray
from onnx import TensorProto, numpy_helper, version_converter

from calibration.emit import Quantized
from calibration.errors import CalibrationError
from calibration.precision import fp16_model
from calibration.quantize import quantize
from calibration.schemes import SCHEMES
from calibration.sqnr import sqnr_db
from tests.unit.calibration.nets import Net, run


def _model(opset: int = 20) -> onnx.ModelProto:
    net = Net(size=10)
    x = net.add("Relu", net.conv("input", 8, 3, name="a"), name="act")
    x = net.add("Relu", net.conv(x, 8, 3, name="b"), name="act2")
    pooled = net.add("Flatten", net.add("GlobalAveragePool", x))
    model = net.model(net.gemm(pooled, 8, 5), opset=13)
    if opset > 13:
        return version_converter.convert_version(model, opset)
    model.opset_import[0].version = opset  # these operators are the same from 10 to 13
    return model


def _images(count: int = 20) -> NDArray[np.float32]:
    return np.random.default_rng(11).normal(size=(count, 3, 10, 10)).astype(np.float32)


def _quantized(model: onnx.ModelProto, effort: str = "fast") -> Quantized:
    images = _images()
    scheme = SCHEMES["tensorrt"]
    return quantize(model, lambda: [images], scheme=scheme, effort=effort, model_digest="m")


def _edited(model: onnx.ModelProto, name: str, edit: object) -> onnx.ModelProto:
    for tensor in model.graph.initializer:
        if tensor.name == name:
            values = numpy_helper.to_array(tensor).copy()
            assert callable(edit)
            edit(values)
            tensor.CopyFrom(numpy_helper.from_array(values, name))
    return model


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_a_weight_that_is_not_finite_is_counted_and_named(bad: float) -> None:
    def spoil(values: NDArray[np.float32]) -> None:
        values.reshape(-1)[:3] = bad

    with pytest.raises(CalibrationError, match="3 of the 576 values of 'b_weight' are NaN"):
        _quantized(_edited(_model(), "b_weight", spoil))


def test_an_activation_that_overflows_is_named() -> None:
    def swell(values: NDArray[np.float32]) -> None:
        values *= np.float32(1e38)

    with pytest.raises(CalibrationError, match=r"'act_out' holds NaN or infinite"):
        _quantized(_edited(_model(), "a_weight", swell))


@pytest.mark.parametrize("effort", ["fast", "balanced", "best"])
def test_dead_channels_and_dead_filters_do_no_harm(effort: str) -> None:
    def kill(values: NDArray[np.float32]) -> None:
        values[:2] = 0.0

    def drown(values: NDArray[np.float32]) -> None:
        values[:2] = 0.0
        values[2] = -1e3  # never above zero: dead behind the Relu

    model = _edited(_edited(_model(), "a_weight", kill), "a_bias", drown)
    made = _quantized(model, effort)
    wanted, found = run(model, _images(8)), run(made.model, _images(8))
    assert sqnr_db(wanted, found) > 25.0


def test_a_layer_that_is_dead_throughout_gives_finite_scales() -> None:
    def kill(values: NDArray[np.float32]) -> None:
        values[:] = 0.0

    model = _edited(_edited(_model(), "a_weight", kill), "a_bias", kill)
    made = _quantized(model)
    np.testing.assert_allclose(run(made.model, _images(4)), run(model, _images(4)), atol=0.05)


def test_a_model_with_pairs_in_it_is_refused() -> None:
    with pytest.raises(CalibrationError, match="already"):
        _quantized(_quantized(_model()).model)


def test_a_tensor_that_two_nodes_make_is_named() -> None:
    model = _model()
    model.graph.node.add().CopyFrom(model.graph.node[0])
    with pytest.raises(CalibrationError, match="'a_out' is computed twice"):
        _quantized(model)


def test_an_input_without_a_name_is_refused() -> None:
    model = _model()
    model.graph.input[0].name = ""
    model.graph.node[0].input[0] = ""
    with pytest.raises(CalibrationError, match="a tensor has no name"):
        _quantized(model)


def test_nodes_without_a_name_or_with_the_same_one_are_quantized() -> None:
    model = _model()
    for node in model.graph.node:
        node.name = "" if node.op_type == "Conv" else "same"
    made = _quantized(model)
    assert made.quantized == 2
    assert sqnr_db(run(_model(), _images(8)), run(made.model, _images(8))) > 25.0


@pytest.mark.parametrize("opset", range(10, 24))
def test_every_opset_from_10_to_23_is_quantized(opset: int) -> None:
    model = _model(opset)
    assert model.opset_import[0].version == opset
    made = _quantized(model)
    onnx.checker.check_model(made.model, full_check=True)
    assert made.quantized == 2
    assert sqnr_db(run(model, _images(8)), run(made.model, _images(8))) > 25.0


def test_an_fp16_model_is_told_to_come_back_in_fp32() -> None:
    half, _ = fp16_model(_model())
    assert any(tensor.data_type == TensorProto.FLOAT16 for tensor in half.graph.initializer)
    with pytest.raises(CalibrationError, match="float16") as caught:
        _quantized(half)
    assert "--precision fp32" in caught.value.next_command
