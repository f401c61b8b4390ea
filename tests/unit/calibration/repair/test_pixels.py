"""The picture on its own 256 levels: the same function, and nothing lost at the input."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
from numpy.typing import NDArray

from calibration.emit import Quantized
from calibration.faults.align import align
from calibration.faults.expected import expected_layers
from calibration.graph import Graph, prepare
from calibration.keep_float import keep_float
from calibration.placement import place
from calibration.quantize import quantize
from calibration.repair.pixels import (
    PIXEL_NOTE,
    PIXELS,
    Coded,
    Levels,
    with_pixel_codes,
    without_pixel_codes,
)
from calibration.schemes import SCHEMES, Scheme
from tests.unit.calibration.nets import Net, run

TENSORRT = SCHEMES["tensorrt"]
MEAN, STD = np.array([0.485, 0.456, 0.406]), np.array([0.229, 0.224, 0.225])
LEVELS = Levels(tuple(STD * 255), tuple(MEAN * 255))


def _pictures(count: int = 16, size: int = 8) -> NDArray[np.float32]:
    """Return pictures of 8 bits as the network takes them, every level among them."""
    pixels = np.random.default_rng(3).integers(0, 256, size=(count, 3, size, size))
    pixels[0, :, 0, :2] = 0, 255
    shaped = [values.reshape(1, 3, 1, 1) for values in (MEAN, STD)]
    return np.asarray((pixels / 255 - shaped[0]) / shaped[1], np.float32)


def _model(kernel: int = 3) -> onnx.ModelProto:
    net = Net()
    first = net.add("Relu", net.conv(net.input, 16, kernel, name="first"))
    second = net.conv(first, 16, 3, name="second")
    pooled = net.add("GlobalAveragePool", second)
    return net.model(net.gemm(net.add("Flatten", pooled), 16, 5))


def _coded(model: onnx.ModelProto, scheme: Scheme = TENSORRT) -> Coded | None:
    ready = prepare(model)
    return with_pixel_codes(ready, place(ready, scheme), LEVELS)


def _tensor(model: onnx.ModelProto, name: str, images: NDArray[np.float32]) -> NDArray[np.float32]:
    only = onnx.ModelProto()
    only.CopyFrom(model)
    del only.graph.output[:]
    only.graph.output.append(onnx.helper.make_tensor_value_info(name, 1, None))
    return run(only, images)


def _quantized(
    levels: Levels | None,
    scheme: Scheme = TENSORRT,
    *,
    method: str = "auto",
    effort: str = "fast",
) -> Quantized:
    images = _pictures(32)
    return quantize(
        _model(),
        lambda: (images[i : i + 8] for i in range(0, len(images), 8)),
        scheme=scheme,
        method=method,
        effort=effort,
        model_digest="m",
        levels=levels,
    )


@pytest.mark.parametrize("kernel", [1, 3], ids=["valid", "padded"])
def test_the_function_stays_the_same(kernel: int) -> None:
    model, images = _model(kernel), _pictures()
    coded = _coded(model)
    assert coded is not None
    before, after = run(model, images), run(coded.model, images)
    assert np.abs(after - before).max() <= 1e-5 * np.abs(before).max()


def test_every_pixel_is_an_integer_that_int8_holds() -> None:
    coded = _coded(_model(kernel=1))
    assert coded is not None
    codes = _tensor(coded.model, coded.tensor, _pictures()) / coded.span.scale
    assert np.abs(codes - np.rint(codes)).max() < 1e-3
    assert (np.rint(codes.min()), np.rint(codes.max())) == (-128, 127)
    assert coded.span.method == PIXELS


def test_weights_keep_their_size_so_that_fp16_holds_their_scales() -> None:
    model = _model()
    coded = _coded(model)
    assert coded is not None
    before, after = (Graph(m).constant("first_weight") for m in (prepare(model), coded.model))
    assert before is not None
    assert after is not None
    assert np.abs(after / before - 1.0).max() < 0.05


def test_channels_of_equal_deviation_need_no_mul() -> None:
    ready = prepare(_model())
    levels = Levels((60.0,) * 3, (120.0, 110.0, 100.0))
    coded = with_pixel_codes(ready, place(ready, TENSORRT), levels)
    assert coded is not None
    assert "Mul" not in [node.op_type for node in coded.model.graph.node]
    before, after = run(ready, _pictures()), run(coded.model, _pictures())
    assert np.abs(after - before).max() <= 1e-5 * np.abs(before).max()


def test_a_padded_convolution_pads_with_zeros_of_the_picture_and_becomes_valid() -> None:
    coded = _coded(_model(kernel=3))
    assert coded is not None
    nodes = {node.name: node for node in coded.model.graph.node}
    kinds = [node.op_type for node in coded.model.graph.node]
    assert kinds.index("Pad") < kinds.index("Mul") < kinds.index("Add") < kinds.index("Conv")
    assert not [entry for entry in nodes["first"].attribute if entry.name == "pads"]


def test_the_first_convolution_reads_the_picture_without_any_error() -> None:
    images = _pictures()
    lost = {}
    for name, levels in (("input", None), ("input_pixels", LEVELS)):
        made = _quantized(levels).model
        read = _tensor(made, f"{name}_DequantizeLinear_Output", images)
        held = images if name == "input" else _tensor(made, name, images)
        inside = (read - held)[..., 1:-1, 1:-1]  # what the padding holds is no pixel
        lost[name] = float(np.abs(inside).max())
    assert lost["input_pixels"] < 1e-4 < 1e-3 < lost["input"]


@pytest.mark.parametrize("effort", ["fast", "balanced", "best"])
def test_no_effort_moves_the_range_of_the_pixels(effort: str) -> None:
    made = _quantized(LEVELS, effort=effort)
    assert made.table.ranges["input_pixels"].method == PIXELS
    assert "input" not in made.table.ranges
    assert PIXEL_NOTE in made.notes


def test_a_method_by_name_leaves_the_pixels_alone_too() -> None:
    made = _quantized(LEVELS, method="entropy")
    assert made.table.ranges["input_pixels"].method == PIXELS


@pytest.mark.parametrize("name", ["onnxruntime-x86-vnni", "onnxruntime-arm64"])
def test_where_activations_have_zero_points_the_picture_stays_as_it_is(name: str) -> None:
    plain, coded = (_quantized(each, SCHEMES[name]).model for each in (None, LEVELS))
    assert plain.SerializeToString() == coded.SerializeToString()


def test_convolutions_that_pad_alike_share_the_codes() -> None:
    net = Net()
    both = [net.conv(net.input, 4, 3, name=name) for name in ("left", "right")]
    model = net.model(net.add("Relu", net.add("Concat", *both, axis=1, channels=8)))
    coded = _coded(model)
    assert coded is not None
    readers = Graph(coded.model).readers(coded.tensor)
    assert {node.name for node in readers} == {"left", "right"}
    before, after = run(model, _pictures()), run(coded.model, _pictures())
    assert np.abs(after - before).max() <= 1e-5 * np.abs(before).max()


@pytest.mark.parametrize("kernel", [1, 3], ids=["valid", "padded"])
def test_the_codes_can_be_taken_out_again(kernel: int) -> None:
    model, images = _model(kernel), _pictures()
    coded = _coded(model)
    assert coded is not None
    plain = without_pixel_codes(coded.model)
    assert [node.op_type for node in plain.graph.node] == [
        node.op_type for node in prepare(model).graph.node
    ]
    before, after = run(model, images), run(plain, images)
    assert np.abs(after - before).max() <= 1e-5 * np.abs(before).max()


def test_a_model_without_codes_has_none_taken_out() -> None:
    ready = prepare(_model())
    assert without_pixel_codes(ready).SerializeToString() == ready.SerializeToString()


@pytest.mark.parametrize("channels", [1, 3])
def test_a_contract_that_inverts_the_picture_keeps_its_function(channels: int) -> None:
    net = Net(channels)
    model = net.model(net.add("Relu", net.conv(net.input, 8, 3, name="first")))
    ready, images = prepare(model), _pictures()[:, :channels]
    levels = Levels((-255.0,) * channels, (255.0,) * channels)
    coded = with_pixel_codes(ready, place(ready, TENSORRT), levels)
    assert coded is not None
    before, after = run(ready, images), run(coded.model, images)
    assert np.abs(after - before).max() <= 1e-4 * np.abs(before).max()


def test_padding_with_a_zero_that_is_no_level_is_left_to_the_float_picture() -> None:
    levels = Levels((255.0,) * 3, (-20.0,) * 3)
    padded, valid = (prepare(_model(kernel)) for kernel in (3, 1))
    assert with_pixel_codes(padded, place(padded, TENSORRT), levels) is None
    assert with_pixel_codes(valid, place(valid, TENSORRT), levels) is not None


@pytest.mark.parametrize("light", [0.3, 0.9])
def test_explicit_shifts_leave_the_codes_of_dark_and_bright_pictures_alone(light: float) -> None:
    dark = np.random.default_rng(5).integers(0, 60, size=(16, 3, 8, 8)) + round(160 * light)
    shaped = [values.reshape(1, 3, 1, 1) for values in (MEAN, STD)]
    images = np.asarray((dark / 255 - shaped[0]) / shaped[1], np.float32)
    made = quantize(
        _model(),
        lambda: [images],
        scheme=TENSORRT,
        effort="fast",
        model_digest="m",
        levels=LEVELS,
        explicit_shifts=True,
    )
    assert made.table.ranges["input_pixels"].method == PIXELS
    assert "Sub" not in [node.op_type for node in made.model.graph.node]


def test_a_first_layer_kept_in_float_is_not_said_to_read_pixels() -> None:
    made = _quantized(LEVELS)
    assert PIXEL_NOTE in made.notes
    assert PIXEL_NOTE not in keep_float(made.recipe, ["first"]).notes


def test_diagnosis_reads_the_codes_back_from_the_graph() -> None:
    ready = prepare(_model())
    coded = with_pixel_codes(ready, place(ready, TENSORRT), LEVELS)
    assert coded is not None
    reference, other = Graph(ready), Graph(coded.model)
    for layer in expected_layers(reference, other, align(reference, other)):
        assert np.allclose(layer.weight, layer.found_weight, rtol=1e-4, atol=1e-6)
        assert np.allclose(layer.bias, layer.found_bias, rtol=1e-3, atol=1e-4)
        halved = layer.bias_with(np.asarray(layer.found_weight / 2, np.float32))
        sums = layer.found_weight.reshape(len(halved), layer.found_weight.shape[1], -1).sum(2)
        lost = (layer.incoming * sums).sum(1) / 2
        assert np.allclose(layer.bias - halved, lost, rtol=1e-3, atol=1e-4)


def test_convolutions_that_pad_differently_leave_the_picture_as_it_is() -> None:
    net = Net()
    wide = net.conv(net.input, 4, 5, name="wide")
    narrow = net.conv(net.input, 4, 3, name="narrow")
    assert _coded(net.model(net.add("Concat", wide, narrow, axis=1, channels=8))) is None


def test_a_picture_that_something_else_reads_stays_as_it_is() -> None:
    net = Net()
    made = net.conv(net.input, 3, 3, name="first")
    assert _coded(net.model(net.add("Add", made, net.input))) is None


def test_a_first_convolution_by_groups_leaves_the_picture_as_it_is() -> None:
    net = Net()
    first = net.conv(net.input, 3, 3, name="first", group=3)
    assert _coded(net.model(net.conv(first, 8, 3, name="second"))) is None


def test_levels_of_other_channels_than_the_model_has_are_not_used() -> None:
    ready = prepare(_model())
    assert with_pixel_codes(ready, place(ready, TENSORRT), Levels((255.0,), (0.0,))) is None
