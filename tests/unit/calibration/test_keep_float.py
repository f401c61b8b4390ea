"""Ranking layers by what INT8 costs there, and writing the model again with some in float."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
from numpy.typing import NDArray

from calibration.emit import Quantized
from calibration.errors import CalibrationError
from calibration.keep_float import keep_float, layer_errors
from calibration.quantize import quantize
from calibration.schemes import SCHEMES
from calibration.sqnr import sqnr_db
from tests.unit.calibration.nets import Net, run

_PLANTED = "c"


def _network() -> onnx.ModelProto:
    """A residual network; one channel of what `c` reads is 60 times too large, undone by `c`."""
    net = Net(channels=3, size=12)
    x = net.add("Relu", net.conv("input", 8, 3, name="a"))
    y = net.add("Relu", net.conv(x, 8, 3, name="b"))
    x = net.add("Relu", net.add("Add", net.conv(y, 8, 3, name=_PLANTED), x, name="add"))
    x = net.add("Relu", net.conv(x, 12, 3, name="d"))
    x = net.add("Flatten", net.add("GlobalAveragePool", x))
    model = net.model(net.gemm(x, 12, 5), opset=17)
    _scale(model, "b_weight", 0, 60.0)
    _scale(model, "b_bias", 0, 60.0)
    _scale(model, "c_weight", 1, 1.0 / 60.0)
    return model


def _scale(model: onnx.ModelProto, name: str, axis: int, factor: float) -> None:
    tensor = next(t for t in model.graph.initializer if t.name == name)
    values = onnx.numpy_helper.to_array(tensor).copy()
    values[(slice(None),) * axis + (0,)] *= np.float32(factor)
    tensor.CopyFrom(onnx.numpy_helper.from_array(values, name))


def _images(n: int = 24, seed: int = 7) -> NDArray[np.float32]:
    return np.random.default_rng(seed).normal(size=(n, 3, 12, 12)).astype(np.float32)


def _quantized(scheme: str = "tensorrt", method: str = "minmax") -> Quantized:
    images = _images()
    return quantize(
        _network(), lambda: [images], scheme=SCHEMES[scheme], method=method, model_digest="m"
    )


def _reads_int8(model: onnx.ModelProto, name: str) -> tuple[bool, bool]:
    made = {out: node.op_type for node in model.graph.node for out in node.output}
    node = next(n for n in model.graph.node if n.name == name)
    first, second = (made.get(i) == "DequantizeLinear" for i in node.input[:2])
    return first, second


def test_the_planted_layer_costs_most() -> None:
    errors = layer_errors(_quantized().recipe, _images(8))
    assert next(iter(errors)) == _PLANTED
    assert errors[_PLANTED] > 5.0 * sorted(errors.values())[-2]
    assert set(errors) == set(_quantized().recipe.network.placement.int8_nodes)


def test_the_errors_of_single_layers_nearly_add_up() -> None:
    made, images = _quantized(), _images(16, seed=1)
    exact = run(_network(), images)
    whole = float(np.square(run(made.model, images) - exact).sum() / np.square(exact).sum())
    assert sum(layer_errors(made.recipe, images).values()) == pytest.approx(whole, rel=0.5)


@pytest.mark.parametrize("scheme", sorted(SCHEMES))
@pytest.mark.parametrize("method", ["minmax", "auto"])
def test_a_kept_layer_is_float_with_its_own_weights_and_the_others_stay_int8(
    scheme: str, method: str
) -> None:
    made = _quantized(scheme, method)
    kept = keep_float(made.recipe, [_PLANTED])
    onnx.checker.check_model(kept.model, full_check=True)
    assert _reads_int8(kept.model, _PLANTED)[1] is False
    before = set(made.recipe.network.placement.int8_nodes)
    assert set(kept.recipe.network.placement.int8_nodes) == before - {_PLANTED}
    assert all(all(_reads_int8(kept.model, name)) for name in before - {_PLANTED})
    assert "kept in float" in kept.float_reasons[_PLANTED]
    assert kept.quantized == made.quantized - 1


def test_keeping_the_planted_layer_in_float_takes_its_error_away() -> None:
    made, images = _quantized(), _images(16, seed=2)
    exact = run(_network(), images)
    kept = keep_float(made.recipe, [_PLANTED])
    assert _reads_int8(kept.model, _PLANTED) == (False, False)
    assert sqnr_db(exact, run(kept.model, images)) > sqnr_db(exact, run(made.model, images)) + 8.0


def test_keeping_nothing_gives_the_same_model() -> None:
    made = _quantized(method="auto")
    again = keep_float(made.recipe, [])
    assert again.model.SerializeToString(deterministic=True) == made.model.SerializeToString(
        deterministic=True
    )
    assert again.table == made.table


def test_an_add_whose_other_operand_was_never_calibrated_runs_in_float_too() -> None:
    net = Net(channels=3, size=12)
    x = net.add("Relu", net.conv("input", 8, 3, name="a"))
    shortcut = net.conv(x, 8, 1, name="shortcut")
    deep = net.conv(net.add("Relu", net.conv(x, 8, 3, name="b")), 8, 3, name="deep")
    x = net.add("Relu", net.add("Add", deep, shortcut, name="add"))
    model = net.model(net.conv(x, 8, 3, name="d"), opset=17)
    images = _images()
    made = quantize(
        model, lambda: [images], scheme=SCHEMES["tensorrt"], method="minmax", model_digest="m"
    )
    kept = keep_float(made.recipe, ["deep"])  # it fused with the Add; now the shortcut would
    assert "is kept in float" in kept.recipe.network.placement.float_reasons["add"]
    assert set(kept.table.ranges) <= set(made.table.ranges)
    onnx.checker.check_model(kept.model, full_check=True)


def test_an_unknown_layer_and_no_layer_left_are_errors() -> None:
    made = _quantized()
    with pytest.raises(CalibrationError, match="'nope' is to stay float, but no node"):
        keep_float(made.recipe, ["nope"])
    with pytest.raises(CalibrationError, match="Nothing in this model can run in INT8"):
        keep_float(made.recipe, made.recipe.network.placement.int8_nodes)
