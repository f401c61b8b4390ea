"""Where TensorRT gets its pairs."""

from __future__ import annotations

from dataclasses import replace

import pytest

from calibration.errors import CalibrationError
from calibration.graph import Graph, Use, prepare
from calibration.placement import Placement, float_layers, int8_mac_share, place
from calibration.schemes import SCHEMES
from tests.unit.calibration.nets import Net

TENSORRT, RTX = SCHEMES["tensorrt"], SCHEMES["tensorrt-rtx"]


def _uses(placement: Placement) -> dict[str, set[tuple[str, int]]]:
    return {p.tensor: {(use.node, use.index) for use in p.uses} for p in placement.pairs}


def test_the_input_of_every_convolution_gets_a_pair_and_nothing_behind_it() -> None:
    net = Net()
    relu = net.add("Relu", net.conv("input", 4, 3, name="a"), name="relu")
    model = prepare(net.model(net.add("Relu", net.conv(relu, 4, 3, name="b"))))
    placement = place(model, TENSORRT)
    assert _uses(placement) == {"input": {("a", 0)}, "relu_out": {("b", 0)}}
    assert placement.int8_nodes == ("a", "b")
    assert placement.float_reasons["a_out"] == "read in float, by Relu alone"


def test_weights_are_quantized_per_output_channel() -> None:
    net = Net()
    placement = place(prepare(net.model(net.conv("input", 4, name="a"))), TENSORRT)
    weight = placement.weights[0]
    assert (weight.initializer, weight.use, weight.axis) == ("a_weight", Use("a", 1), 0)


def test_an_identity_shortcut_shares_the_pair_of_the_convolution_that_reads_it() -> None:
    net = Net(channels=4)
    block = net.add("Relu", net.conv("input", 4, 3, name="a"), name="block")
    inner = net.add("Relu", net.conv(block, 4, 3, name="b"), name="inner")
    last = net.conv(inner, 4, 3, name="c")
    placement = place(prepare(net.model(net.add("Add", last, block, name="sum"))), TENSORRT)
    assert _uses(placement) == {
        "input": {("a", 0)},
        "block_out": {("b", 0), ("sum", 1)},
        "inner_out": {("c", 0)},
    }
    assert placement.float_reasons["c_out"] == "stays free: its convolution fuses with sum"


@pytest.mark.parametrize("shortcut_first", [True, False])
def test_of_two_convolutions_into_one_add_the_shortcut_gets_the_pair(shortcut_first: bool) -> None:
    net = Net(channels=4)
    if shortcut_first:
        short = net.conv("input", 4, name="short")
    inner = net.add("Relu", net.conv("input", 4, 3, name="b"), name="inner")
    last = net.conv(inner, 4, 3, name="c")
    if not shortcut_first:
        short = net.conv("input", 4, name="short")
    operands = (short, last) if shortcut_first else (last, short)
    placement = place(prepare(net.model(net.add("Add", *operands, name="sum"))), TENSORRT)
    uses = _uses(placement)
    assert uses["short_out"] == {("sum", list(operands).index(short))}
    assert "c_out" not in uses


def test_an_add_that_no_convolution_feeds_alone_stays_float() -> None:
    net = Net(channels=4)
    conv = net.conv("input", 4, name="a")
    total = net.add("Add", conv, net.add("Sigmoid", conv), name="sum")
    placement = place(prepare(net.model(net.conv(total, 4, name="b"))), TENSORRT)
    assert "a_out" not in _uses(placement)
    assert "fuses with none" in placement.float_reasons["sum"]


def test_an_add_of_different_shapes_stays_float() -> None:
    net = Net(channels=4)
    pooled = net.add("GlobalAveragePool", "input", name="pool")
    total = net.add("Add", net.conv("input", 4, name="a"), pooled, name="sum")
    placement = place(prepare(net.model(total)), TENSORRT)
    assert placement.float_reasons["sum"] == "its operands differ in shape"


def test_an_add_of_a_constant_is_left_alone() -> None:
    net = Net(channels=4)
    total = net.add("Add", net.conv("input", 4, name="a"), net.constant(1.0, "one"), name="sum")
    assert _uses(place(prepare(net.model(total)), TENSORRT)) == {"input": {("a", 0)}}


def test_both_sides_of_a_max_pool_share_one_range() -> None:
    net = Net()
    relu = net.add("Relu", net.conv("input", 4), name="relu")
    pool = net.add("MaxPool", relu, kernel_shape=[2, 2], strides=[2, 2], name="pool")
    branch = net.conv(relu, 4, stride=2, name="branch")
    total = net.add("Add", net.conv(pool, 4, name="deep"), branch, name="sum")
    placement = place(prepare(net.model(total)), TENSORRT)
    groups = {pair.tensor: pair.group for pair in placement.pairs}
    assert groups["relu_out"] == groups["pool_out"] == "relu_out"
    assert groups["input"] == "input"


def test_inputs_and_output_of_a_concat_share_one_range() -> None:
    net = Net()
    left = net.add("Relu", net.conv("input", 4), name="left")
    right = net.add("Relu", net.conv("input", 4), name="right")
    both = net.add("Concat", left, right, axis=1, name="both", channels=8)
    tail = net.conv(both, 4, name="tail")
    more = net.conv(left, 4, name="more")
    placement = place(prepare(net.model(net.add("Mul", tail, more))), TENSORRT)
    groups = {pair.tensor: pair.group for pair in placement.pairs}
    assert groups == {"input": "input", "left_out": "left_out", "both_out": "left_out"}


def test_depthwise_convolutions_stay_float_on_rtx_and_say_why() -> None:
    net = Net(channels=4)
    deep = net.conv("input", 4, 3, group=4, name="deep")
    model = prepare(net.model(net.conv(net.clip(deep, name="clip"), 8, name="wide")))
    assert place(model, TENSORRT).int8_nodes == ("deep", "wide")
    placement = place(model, RTX)
    assert placement.int8_nodes == ("wide",)
    assert "widens it with zeros" in placement.float_reasons["deep"]
    assert _uses(placement) == {"clip_out": {("wide", 0)}}


def _classifier() -> Net:
    net = Net()
    pool = net.add("GlobalAveragePool", net.conv("input", 4, 3, name="a"), name="pool")
    squeeze = net.conv(pool, 4, name="squeeze")
    net.add("Softmax", net.gemm(net.add("Flatten", squeeze), 4, 5), name="softmax")
    return net


def test_vector_products_stay_float_and_the_softmax_input_too() -> None:
    model = prepare(_classifier().model("softmax_out"))
    placement = place(model, TENSORRT)
    assert placement.int8_nodes == ("a",)
    assert "vector product" in placement.float_reasons["gemm"]
    assert "vector product" in placement.float_reasons["squeeze"]
    assert "gemm_out" not in _uses(placement)
    assert float_layers(Graph(model), placement) == ("squeeze", "gemm")


def test_a_scheme_may_quantize_vector_products() -> None:
    scheme = replace(TENSORRT, vector_products="int8")
    placement = place(prepare(_classifier().model("softmax_out")), scheme)
    assert placement.int8_nodes == ("a", "squeeze", "gemm")


def test_a_product_of_two_activations_stays_float() -> None:
    net = Net(channels=4, size=4)
    conv = net.conv("input", 4, name="a")
    placement = place(prepare(net.model(net.add("MatMul", conv, conv, name="mm"))), TENSORRT)
    assert "both operands are computed" in placement.float_reasons["mm"]


def test_nodes_can_be_kept_float_with_a_reason() -> None:
    net = Net(channels=4)
    a = net.conv("input", 4, name="a")
    model = prepare(net.model(net.conv(net.add("Relu", a), 4, name="b")))
    placement = place(model, TENSORRT, keep_float={"a": "sensitive: 3 dB"})
    assert placement.int8_nodes == ("b",)
    assert placement.float_reasons["a"] == "sensitive: 3 dB"
    assert placement.pairs[0].tensor == "relu1_out"


def test_an_unknown_node_to_keep_float_is_an_error() -> None:
    net = Net()
    with pytest.raises(CalibrationError, match="'nobody' is to stay float, but no node"):
        place(prepare(net.model(net.conv("input", 4))), TENSORRT, keep_float={"nobody": "x"})


def test_a_model_with_nothing_to_quantize_is_an_error() -> None:
    net = Net()
    with pytest.raises(CalibrationError, match="Nothing in this model can run in INT8"):
        place(prepare(net.model(net.add("Relu", "input"))), TENSORRT)


def test_an_opset_the_runtime_cannot_read_is_an_error() -> None:
    net = Net()
    model = prepare(net.model(net.conv("input", 4), opset=20))
    with pytest.raises(CalibrationError, match=r"opset 20; TensorRT 8.5, 8.6 reads"):
        place(model, SCHEMES["tensorrt-8"])


def test_the_int8_share_counts_convolution_macs() -> None:
    net = Net(channels=4, size=8)
    deep = net.conv("input", 4, 3, group=4, name="deep")
    model = prepare(net.model(net.conv(deep, 4, 3, name="wide")))
    graph = Graph(model)
    assert int8_mac_share(graph, place(model, RTX)) == 1.0
    share = int8_mac_share(graph, place(model, RTX), depthwise=True)
    assert share == pytest.approx(4 / 5)
