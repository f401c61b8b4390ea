"""What every row of SCHEMES must hold: a new scheme is tested by being listed."""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module

import numpy as np
import onnx
import pytest

from calibration.graph import Graph, prepare
from calibration.insert import insert_qdq
from calibration.placement import Placement, place
from calibration.schemes import SCHEMES, Scheme
from calibration.table import CalibrationTable, Range
from tests.unit.calibration.nets import Net, run


def _plain(net: Net) -> str:
    return net.add("Relu", net.conv(net.clip(net.conv("input", 8, 3)), 8, 3))


def _residual(net: Net) -> str:
    block = net.clip(net.conv("input", 8, 3))
    inner = net.add("Relu", net.conv(block, 8, 3))
    return net.add("Relu", net.add("Add", net.conv(inner, 8, 3), block))


def _downsample(net: Net) -> str:
    stem = net.add("MaxPool", net.conv("input", 8, 3), kernel_shape=[2, 2], strides=[2, 2])
    inner = net.conv(net.add("Relu", net.conv(stem, 8, 3)), 16, 3)
    return net.add("Relu", net.add("Add", inner, net.conv(stem, 16)))


def _fire(net: Net) -> str:
    squeeze = net.add("Relu", net.conv("input", 4))
    left = net.add("Relu", net.conv(squeeze, 4))
    right = net.add("Relu", net.conv(squeeze, 4, 3))
    both = net.add("Concat", left, right, axis=1, channels=8)
    return net.conv(net.add("MaxPool", both, kernel_shape=[2, 2], strides=[2, 2]), 4)


def _inverted_residual(net: Net) -> str:
    stem = net.conv("input", 8, 3)
    deep = net.clip(net.conv(net.clip(net.conv(stem, 16)), 16, 3, group=16))
    return net.conv(net.add("Add", stem, net.conv(deep, 8)), 8)


def _gated(net: Net) -> str:
    stem = net.conv("input", 8, 3)
    silu = net.add("Mul", stem, net.add("Sigmoid", stem))
    hidden = net.add("Relu", net.conv(net.add("GlobalAveragePool", silu), 4))
    gate = net.add("HardSigmoid", net.conv(hidden, 8))
    return net.conv(net.add("Mul", silu, gate), 8)


def _shuffled(net: Net) -> str:
    stem = net.conv("input", 8, 3)
    split = net.constant([4, 4], "split", np.int64)
    net.nodes.append(onnx.helper.make_node("Split", [stem, split], ["a", "b"], "split", axis=1))
    net.channels("a", 4)
    net.channels("b", 4)
    right = net.add("Relu", net.conv("b", 4))
    both = net.add("Concat", "a", right, axis=1, channels=8)
    shape = net.constant([0, 2, 4, 8, 8], "shape", np.int64)
    swapped = net.add("Transpose", net.add("Reshape", both, shape), perm=[0, 2, 1, 3, 4])
    back = net.add("Reshape", swapped, net.constant([0, 8, 8, 8], "back", np.int64))
    net.channels(back, 8)
    return net.conv(back, 8)


def _classifier(net: Net) -> str:
    pool = net.add("GlobalAveragePool", net.add("HardSwish", net.conv("input", 8, 3)))
    return net.add("Softmax", net.gemm(net.add("Flatten", pool), 8, 5))


PATTERNS: list[Callable[[Net], str]] = [
    _plain,
    _residual,
    _downsample,
    _fire,
    _inverted_residual,
    _gated,
    _shuffled,
    _classifier,
]


def _quantized(
    scheme: Scheme, pattern: Callable[[Net], str]
) -> tuple[onnx.ModelProto, onnx.ModelProto, Placement]:
    net = Net()
    model = prepare(net.model(pattern(net), opset=17))
    placement = place(model, scheme)
    ranges = {pair.tensor: Range(-5.0, 5.0, "test") for pair in placement.pairs}
    table = CalibrationTable("", "test", 1, 0, ranges)
    return model, insert_qdq(model, placement, table, scheme), placement


@pytest.mark.parametrize("name", sorted(SCHEMES))
def test_a_row_names_itself_and_uses_known_words(name: str) -> None:
    scheme = SCHEMES[name]
    assert scheme.name == name
    assert scheme.activations in ("int8", "uint8")
    assert scheme.weight_bits in (7, 8)
    assert scheme.weights_as in ("int8", "float")
    assert scheme.bias_as in ("int32", "float")
    assert {scheme.depthwise, scheme.vector_products} <= {"int8", "float"}
    assert 13 <= scheme.max_opset <= 23
    module, _, function = scheme.placer.partition(":")
    assert callable(getattr(import_module(module), function))


@pytest.mark.parametrize("pattern", PATTERNS, ids=lambda pattern: pattern.__name__.strip("_"))
@pytest.mark.parametrize("name", sorted(SCHEMES))
def test_every_pattern_gives_a_valid_graph_near_the_float_one(
    name: str, pattern: Callable[[Net], str]
) -> None:
    model, quantized, _ = _quantized(SCHEMES[name], pattern)
    onnx.checker.check_model(quantized, full_check=True)
    batch = np.random.default_rng(0).normal(size=(2, 3, 8, 8)).astype(np.float32)
    exact, rounded = run(model, batch), run(quantized, batch)
    noise = float(np.square(exact - rounded).sum() / np.square(exact).sum())
    assert noise < 0.02, f"SQNR {-10 * np.log10(noise):.1f} dB"


@pytest.mark.parametrize("pattern", PATTERNS, ids=lambda pattern: pattern.__name__.strip("_"))
@pytest.mark.parametrize("name", sorted(SCHEMES))
def test_int8_layers_read_dequantized_inputs_and_weights_and_the_others_have_a_reason(
    name: str, pattern: Callable[[Net], str]
) -> None:
    _, quantized, placement = _quantized(SCHEMES[name], pattern)
    graph = Graph(quantized)
    for node in graph.nodes:
        if node.op_type not in ("Conv", "Gemm"):
            continue
        sources = [graph.producer(tensor) for tensor in node.input[:2]]
        dequantized = all(s is not None and s.op_type == "DequantizeLinear" for s in sources)
        assert dequantized == (node.name in placement.int8_nodes)
        assert dequantized or placement.float_reasons[node.name]


@pytest.mark.parametrize("pattern", PATTERNS, ids=lambda pattern: pattern.__name__.strip("_"))
@pytest.mark.parametrize("name", sorted(SCHEMES))
def test_a_pair_has_a_positive_scale_and_symmetric_schemes_have_zero_point_0(
    name: str, pattern: Callable[[Net], str]
) -> None:
    scheme = SCHEMES[name]
    _, quantized, _ = _quantized(scheme, pattern)
    graph = Graph(quantized)
    pairs = [node for node in graph.nodes if node.op_type.endswith("uantizeLinear")]
    assert pairs
    for node in pairs:
        scale, zero_point = graph.constant(node.input[1]), graph.constant(node.input[2])
        assert scale is not None
        assert zero_point is not None
        assert (scale > 0).all()
        if scheme.activations == "int8":
            assert zero_point.dtype == np.int8
            assert not zero_point.any()
