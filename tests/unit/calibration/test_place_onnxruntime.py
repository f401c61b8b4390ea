"""Where ONNX Runtime gets its pairs, and that its own optimizer then makes integer kernels."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest

from calibration.graph import prepare
from calibration.insert import insert_qdq
from calibration.placement import Placement, place
from calibration.schemes import SCHEMES
from calibration.table import CalibrationTable, Range
from tests.unit.calibration.nets import Net, run

X86 = SCHEMES["onnxruntime-x86"]


def _place(net: Net, output: str) -> Placement:
    return place(prepare(net.model(output)), X86)


def _paired(placement: Placement) -> set[str]:
    return {pair.tensor for pair in placement.pairs}


def _kernels(net: Net, output: str, folder: Path) -> Counter[str]:
    """Return the operators of the graph that ONNX Runtime executes."""
    model = prepare(net.model(output))
    placement = place(model, X86)
    ranges = {
        pair.tensor: Range(0.0 if pair.tensor.startswith(("relu", "clip")) else -4.0, 6.0, "test")
        for pair in placement.pairs
    }
    quantized = insert_qdq(model, placement, CalibrationTable("", "t", 1, 0, ranges), X86)
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    options.optimized_model_filepath = str(folder / "optimized.onnx")
    onnxruntime.InferenceSession(
        quantized.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )
    graph = onnx.load(options.optimized_model_filepath).graph
    moves = ("Transpose", "Reshape", "Flatten", "Pad", "Split")
    return Counter(n.op_type for n in graph.node if n.op_type not in moves)


def test_an_activation_behind_a_convolution_is_part_of_the_range(tmp_path: Path) -> None:
    net = Net()
    clip = net.clip(net.conv("input", 16, 3, name="a"), name="clip")
    relu = net.add("Relu", net.conv(clip, 16, name="b"), name="relu")
    output = net.conv(relu, 16, name="c")
    placement = _place(net, output)
    assert _paired(placement) == {"input", "clip_out", "relu_out", "c_out"}
    assert placement.float_reasons["a_out"] == "cut by clip: the range of its result"
    assert _kernels(net, output, tmp_path) == {
        "QuantizeLinear": 1,
        "QLinearConv": 3,
        "DequantizeLinear": 1,
    }


def test_a_clip_that_excludes_zero_is_not_part_of_the_range() -> None:
    net = Net()
    clip = net.clip(net.conv("input", 4, name="a"), 1.0, 2.0, name="clip")
    assert "a_out" in _paired(_place(net, net.conv(clip, 4, name="b")))


def test_a_clip_with_a_computed_bound_is_not_part_of_the_range() -> None:
    net = Net()
    bound = net.add("ReduceMax", "input", keepdims=0)
    clip = net.add("Clip", net.conv("input", 4, name="a"), net.constant(0.0, "low"), bound)
    assert "a_out" in _paired(_place(net, net.conv(clip, 4, name="b")))


def test_a_residual_block_becomes_integers_throughout(tmp_path: Path) -> None:
    net = Net(channels=16)
    block = net.add("Relu", net.conv("input", 16, name="a"), name="relu0")
    inner = net.clip(net.conv(block, 16, 3, group=16, name="b"), name="clip1")
    total = net.add("Add", net.conv(inner, 16, name="c"), block, name="sum")
    output = net.conv(net.add("Relu", total, name="relu2"), 16, name="d")
    assert _paired(_place(net, output)) == {
        "input",
        "relu0_out",
        "clip1_out",
        "c_out",
        "relu2_out",
        "d_out",
    }
    kernels = _kernels(net, output, tmp_path)
    assert kernels["QLinearConv"] == 4
    assert kernels["QLinearAdd"] == 1
    assert kernels["QuantizeLinear"] == kernels["DequantizeLinear"] == 1


def test_a_classifier_ends_in_float_logits(tmp_path: Path) -> None:
    net = Net()
    pool = net.add("GlobalAveragePool", net.add("Relu", net.conv("input", 16, 3), name="relu"))
    logits = net.gemm(net.add("Flatten", pool), 16, 10)
    placement = _place(net, logits)
    assert "gemm" in placement.int8_nodes
    assert "gemm_out" not in _paired(placement)
    assert _kernels(net, logits, tmp_path) == {
        "QuantizeLinear": 1,
        "QLinearConv": 1,
        "QLinearGlobalAveragePool": 1,
        "QGemm": 1,
    }


def test_what_only_a_softmax_reads_stays_float() -> None:
    net = Net()
    pool = net.add("GlobalAveragePool", net.conv("input", 16, 3))
    softmax = net.add("Softmax", net.gemm(net.add("Flatten", pool), 16, 10))
    assert "gemm_out" not in _paired(_place(net, softmax))


def test_logits_that_a_pool_makes_stay_float() -> None:
    net = Net()
    relu = net.add("Relu", net.conv("input", 16, 3), name="relu")
    output = net.add("Flatten", net.add("GlobalAveragePool", relu, name="pool"))
    assert _paired(_place(net, output)) == {"input", "relu_out"}


def test_max_pool_and_concat_move_integers(tmp_path: Path) -> None:
    net = Net(channels=16)
    stem = net.add("Relu", net.conv("input", 16, 3), name="relu_stem")
    pool = net.add("MaxPool", stem, kernel_shape=[2, 2], strides=[2, 2], name="relu_pool")
    left = net.add("Relu", net.conv(pool, 16), name="relu_left")
    right = net.add("Relu", net.conv(pool, 16, 3), name="relu_right")
    both = net.add("Concat", left, right, axis=1, name="relu_both", channels=32)
    output = net.conv(both, 16, name="tail")
    groups = {pair.tensor: pair.group for pair in _place(net, output).pairs}
    assert groups["relu_stem_out"] == groups["relu_pool_out"]
    assert groups["relu_left_out"] == groups["relu_right_out"] == groups["relu_both_out"]
    kernels = _kernels(net, output, tmp_path)
    assert kernels["QLinearConv"] == 4
    assert kernels["QLinearConcat"] == 1
    assert kernels["QuantizeLinear"] == kernels["DequantizeLinear"] == 1


def test_an_input_of_a_concat_that_others_read_keeps_its_own_range() -> None:
    net = Net(channels=16)
    left = net.add("Relu", net.conv("input", 16), name="left")
    right = net.add("Relu", net.conv(left, 16), name="right")
    both = net.add("Concat", left, right, axis=1, name="both", channels=32)
    groups = {pair.tensor: pair.group for pair in _place(net, net.conv(both, 4)).pairs}
    assert groups["left_out"] != groups["both_out"] == groups["right_out"]


def test_a_concat_of_different_activations_leaves_each_its_range(tmp_path: Path) -> None:
    net = Net(channels=16)
    parts = [
        net.add("Relu", net.conv("input", 16), name="relu"),
        net.clip(net.conv("input", 16), name="clip"),
        net.conv("input", 16, name="linear"),
        net.conv("input", 16, name="other"),
    ]
    both = net.add("Concat", *parts, axis=1, name="both", channels=64)
    output = net.conv(both, 16)
    groups = {pair.tensor: pair.group for pair in _place(net, output).pairs}
    assert groups["linear_out"] == groups["other_out"] == groups["both_out"]
    assert groups["relu_out"] == "relu_out"
    assert groups["clip_out"] == "clip_out"
    kernels = _kernels(net, output, tmp_path)
    assert kernels["QLinearConv"] == 5
    assert "Relu" not in kernels
    assert "Clip" not in kernels


def test_squeeze_and_excitation_multiplies_integers(tmp_path: Path) -> None:
    net = Net(channels=16)
    stem = net.add("Relu", net.conv("input", 16, 3), name="relu")
    gate = net.conv(net.add("GlobalAveragePool", stem, name="pool"), 16, name="squeeze")
    scaled = net.add("Mul", stem, net.add("HardSigmoid", gate, name="gate"), name="scaled")
    output = net.conv(scaled, 16)
    assert {"gate_out", "scaled_out"} <= _paired(_place(net, output))
    kernels = _kernels(net, output, tmp_path)
    assert kernels["QLinearMul"] == 1
    assert kernels["QLinearConv"] == 3


def test_a_node_kept_float_reads_and_writes_float() -> None:
    net = Net(channels=4)
    block = net.add("Relu", net.conv("input", 4, name="a"), name="relu")
    total = net.add("Add", net.conv(block, 4, name="b"), block, name="sum")
    model = prepare(net.model(net.conv(total, 4, name="c")))
    placement = place(model, X86, keep_float={"c": "asked", "sum": "asked"})
    assert placement.int8_nodes == ("a", "b")
    assert "sum_out" not in _paired(placement)


def test_both_onnx_runtime_schemes_of_x86_share_one_placement() -> None:
    net = Net(channels=4)
    model = prepare(net.model(net.add("Relu", net.conv("input", 4, 3))))
    assert place(model, X86) == place(model, SCHEMES["onnxruntime-x86-vnni"])


@pytest.mark.parametrize("channels", [1, 3])
def test_the_image_is_padded_to_four_channels_without_changing_the_result(channels: int) -> None:
    net = Net(channels=channels)
    model = prepare(net.model(net.conv("input", 16, 3, name="a")))
    placement = place(model, X86)
    ranges = {pair.tensor: Range(-4.0, 4.0, "test") for pair in placement.pairs}
    table = CalibrationTable("", "t", 1, 0, ranges)
    quantized = insert_qdq(model, placement, table, X86)
    weight = next(t for t in quantized.graph.initializer if t.name == "a_weight_quantized")
    assert list(weight.dims) == [16, 4, 3, 3]
    plain = insert_qdq(model, placement, table, replace(X86, input_channels=1))
    batch = np.random.default_rng(0).normal(size=(2, channels, 8, 8)).astype(np.float32)
    np.testing.assert_array_equal(run(quantized, batch), run(plain, batch))


def test_a_computed_shape_gets_no_pair() -> None:
    net = Net()
    relu = net.add("Relu", net.conv("input", 4), name="relu")
    batch = net.add("Gather", net.add("Shape", relu), net.constant([0], "first", np.int64))
    rest = net.constant([2, 2, 64], "rest", np.int64)
    shape = net.add("Concat", batch, rest, axis=0, name="shape")
    swapped = net.add("Transpose", net.add("Reshape", relu, shape), perm=[0, 2, 1, 3])
    back = net.add("Reshape", swapped, net.constant([0, 4, 8, 8], "back", np.int64), name="back")
    net.channels(back, 4)
    paired = _paired(_place(net, net.conv(back, 4)))
    assert "shape_out" not in paired
    assert "back_out" in paired
