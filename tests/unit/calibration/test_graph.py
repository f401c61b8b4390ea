"""Preparing a float model: the same function, in one form; and the read-only view."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable

import numpy as np
import onnx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import TensorProto, helper, numpy_helper

from calibration.errors import CalibrationError
from calibration.graph import Graph, opset_of, prepare
from calibration.nodes import set_constant
from tests.unit.calibration.nets import Net, run


def _ops(model: onnx.ModelProto) -> Counter[str]:
    return Counter(node.op_type for node in model.graph.node)


def _same_function(model: onnx.ModelProto, prepared: onnx.ModelProto) -> bool:
    shape = [d.dim_value or 2 for d in model.graph.input[0].type.tensor_type.shape.dim]
    batch = np.random.default_rng(1).normal(size=shape).astype(np.float32)
    return np.allclose(run(model, batch), run(prepared, batch), rtol=1e-4, atol=1e-5)


def _batch_norm(net: Net, source: str, channels: int) -> str:
    names = [
        net.constant(net.rng.uniform(0.5, 2.0, channels), f"{source}_{part}")
        for part in ("gamma", "beta", "mean", "var")
    ]
    return net.add("BatchNormalization", source, *names)


def _with_batch_norm(net: Net) -> str:
    return net.add("Relu", _batch_norm(net, net.conv("input", 4, 3, bias=False), 4))


def _with_batch_norm_behind_a_shared_convolution(net: Net) -> str:
    conv = net.conv("input", 4, 3)
    return net.add("Add", _batch_norm(net, conv, 4), conv)


def _with_identities_and_dropout(net: Net) -> str:
    relu = net.add("Relu", net.conv(net.add("Identity", "input"), 4, 3))
    return net.add("Identity", net.add("Dropout", relu))


def _with_constant_nodes(net: Net) -> str:
    low = net.add("Constant", value=numpy_helper.from_array(np.array(-1.0, np.float32)))
    high = net.add("Constant", value_float=2.0)
    return net.add("Clip", net.conv("input", 4, 3), low, high)


def _with_a_computed_weight(net: Net) -> str:
    half = net.constant(net.rng.normal(size=(4, 3, 1, 1)), "half")
    return net.add("Conv", "input", net.add("Add", half, half))


def _with_an_open_clip(net: Net) -> str:
    return net.add("Clip", net.conv("input", 4, 3), net.constant(0.0, "zero"))


def _with_a_mean(net: Net) -> str:
    axes = net.constant([-1, 2], "axes", np.int64)
    return net.gemm(net.add("ReduceMean", net.conv("input", 4, 3), axes, keepdims=0), 4, 5)


def _with_a_mean_that_keeps_its_axes(net: Net) -> str:
    axes = net.constant([2, 3], "axes", np.int64)
    return net.conv(net.add("ReduceMean", net.conv("input", 4, 3), axes, keepdims=1), 2)


def _with_a_matmul(net: Net) -> str:
    flat = net.add("Flatten", net.add("GlobalAveragePool", net.conv("input", 4, 3)))
    product = net.add("MatMul", flat, net.constant(net.rng.normal(size=(4, 5)), "w"))
    return net.add("Add", net.constant(net.rng.normal(size=5), "b"), product)


def _with_an_unusual_gemm(net: Net) -> str:
    flat = net.add("Flatten", net.add("GlobalAveragePool", net.conv("input", 4, 3)))
    weight = net.constant(net.rng.normal(size=(4, 5)), "w")
    bias = net.constant(net.rng.normal(size=(1, 5)), "b")
    return net.add("Gemm", flat, weight, bias, alpha=0.5, beta=2.0)


def _with_a_computed_reshape(net: Net) -> str:
    conv = net.conv("input", 4, 3)
    batch = net.add("Gather", net.add("Shape", conv), net.constant([0], "first", np.int64))
    shape = net.add("Concat", batch, net.constant([256], "rest", np.int64), axis=0)
    return net.gemm(net.add("Reshape", conv, shape), 256, 5)


def _with_computed_halves(net: Net) -> str:
    conv = net.conv("input", 4, 3)
    length = net.add("Gather", net.add("Shape", conv), net.constant([1], "first", np.int64))
    half = net.add("Div", length, net.constant([2], "two", np.int64))
    zero, one = net.constant([0], "zero", np.int64), net.constant([1], "one", np.int64)
    left = net.add("Slice", conv, zero, half, one)
    net.channels(left, 2)
    return net.add("Mul", net.conv(left, 2), net.add("Slice", conv, half, length, one))


BLOCKS: list[Callable[[Net], str]] = [
    _with_batch_norm,
    _with_batch_norm_behind_a_shared_convolution,
    _with_identities_and_dropout,
    _with_constant_nodes,
    _with_a_computed_weight,
    _with_an_open_clip,
    _with_a_mean,
    _with_a_mean_that_keeps_its_axes,
    _with_a_matmul,
    _with_an_unusual_gemm,
    _with_a_computed_reshape,
    _with_computed_halves,
]


@pytest.mark.parametrize("block", BLOCKS, ids=lambda block: block.__name__.strip("_"))
def test_preparing_keeps_the_function(block: Callable[[Net], str]) -> None:
    net = Net()
    model = net.model(block(net))
    prepared = prepare(model)
    assert _same_function(model, prepared)
    assert not {"Constant", "Identity", "Dropout", "MatMul", "ReduceMean"} & set(_ops(prepared))


def _layer(net: Net, kind: str, tensor: str, earlier: str) -> str:
    if kind == "conv":
        return net.conv(tensor, 4, 3)
    if kind == "norm":
        return _batch_norm(net, tensor, 4)
    if kind == "clip":
        return net.clip(tensor)
    if kind == "add":
        return net.add("Add", tensor, earlier)
    return net.add("Relu" if kind == "relu" else "Dropout", tensor)


@given(
    kinds=st.lists(st.sampled_from(["conv", "norm", "relu", "clip", "add", "drop"]), max_size=7),
    seed=st.integers(0, 99),
)
@settings(max_examples=25, deadline=None)
def test_preparing_any_chain_of_layers_keeps_the_function(kinds: list[str], seed: int) -> None:
    net = Net(size=4, seed=seed)
    tensor = earlier = net.conv("input", 4, 3)
    for kind in kinds:
        tensor, earlier = _layer(net, kind, tensor, earlier), tensor
    model = net.model(tensor)
    assert _same_function(model, prepare(model))


def test_the_model_given_is_not_changed() -> None:
    net = Net()
    model = net.model(_with_batch_norm(net))
    before = model.SerializeToString()
    prepare(model)
    assert model.SerializeToString() == before


def test_metadata_survives() -> None:
    net = Net()
    prepared = prepare(net.model(net.conv("input", 4)))
    assert {entry.key: entry.value for entry in prepared.metadata_props} == {"edgekit": "contract"}


def test_batch_normalization_behind_a_convolution_disappears() -> None:
    net = Net()
    prepared = prepare(net.model(_with_batch_norm(net)))
    assert _ops(prepared) == {"Conv": 1, "Relu": 1}
    assert len(prepared.graph.initializer) == 2


def test_a_reshape_to_a_computed_shape_becomes_constant() -> None:
    net = Net()
    prepared = prepare(net.model(_with_a_computed_reshape(net)))
    assert "Shape" not in _ops(prepared)
    assert Graph(prepared).shape("reshape4_out") == (None, 256)


@pytest.mark.parametrize("batch", ["batch", 3])
def test_slices_computed_from_a_shape_become_constant(batch: str | int) -> None:
    net = Net()
    prepared = prepare(net.model(_with_computed_halves(net), batch=batch))
    assert _ops(prepared) == {"Conv": 2, "Slice": 2, "Mul": 1}
    result = prepared.graph.output[0].name
    assert Graph(prepared).shape(result) == (3 if batch == 3 else None, 2, 8, 8)


def test_a_reshape_with_two_lengths_of_the_batch_is_left_alone() -> None:
    net = Net()
    flat = net.add("Flatten", net.conv("input", 3))
    products = net.add("Gemm", flat, flat, transB=1)
    one = net.constant([1], "one", np.int64)
    shape = net.add("Concat", net.add("Shape", products), one, axis=0)
    model = net.model(net.add("Reshape", products, shape))
    prepared = prepare(model)
    assert "Shape" in _ops(prepared)
    assert _same_function(model, prepared)


def test_weights_of_a_gemm_have_one_row_per_output() -> None:
    net = Net()
    graph = Graph(prepare(net.model(_with_an_unusual_gemm(net))))
    gemm = next(node for node in graph.nodes if node.op_type == "Gemm")
    assert graph.shape(gemm.input[1]) == (5, 4)
    assert graph.shape(gemm.input[2]) == (5,)


def test_every_layer_owns_its_weight_and_bias() -> None:
    net = Net(channels=4)
    first = net.conv("input", 4)
    again = net.add("Conv", first, "conv0_weight", "conv0_bias", name="again")
    graph = Graph(prepare(net.model(net.conv(again, 4, bias=False))))
    names = [name for node in graph.nodes for name in node.input[1:]]
    assert len(names) == 6
    assert len(set(names)) == 6


def test_node_names_become_unique_and_the_first_keeps_its_own() -> None:
    net = Net()
    tensor = net.conv("input", 4)
    for _ in range(3):
        tensor = net.add("Relu", tensor)
    model = net.model(tensor)
    for node, name in zip(model.graph.node, ["", "relu", "relu", "relu_1"], strict=True):
        node.name = name
    names = [node.name for node in prepare(model).graph.node]
    assert len(set(names)) == 4
    assert all(names)
    assert names[1] == "relu"


def test_nodes_out_of_order_are_sorted() -> None:
    net = Net()
    model = net.model(net.add("Relu", net.conv("input", 4)))
    conv, relu = (onnx.NodeProto.FromString(n.SerializeToString()) for n in model.graph.node)
    del model.graph.node[:]
    model.graph.node.extend([relu, conv])
    assert [node.op_type for node in prepare(model).graph.node] == ["Conv", "Relu"]


@pytest.mark.parametrize("opset", [10, 11, 12, 13, 17, 18, 21, 23])
def test_opsets_from_10_to_23_are_read(opset: int) -> None:
    net = Net()
    tensor = net.add("Relu", net.conv("input", 4, 3))
    if opset == 10:
        tensor = net.add("Clip", tensor, min=0.0, max=6.0)
    model = net.model(net.add("Flatten", net.add("GlobalAveragePool", tensor)), opset=opset)
    prepared = prepare(model)
    assert _same_function(model, prepared)
    assert opset_of(prepared) == min(max(opset, 13), 22)
    assert prepared.metadata_props[0].value == "contract"
    assert [node.name for node in prepared.graph.node][:2] == ["conv0", "relu1"]


@pytest.mark.parametrize("opset", [9, 24])
def test_other_opsets_are_refused(opset: int) -> None:
    net = Net()
    with pytest.raises(CalibrationError, match=f"opset {opset}; calibration reads opset 10 to 23"):
        prepare(net.model(net.conv("input", 4), opset=opset))


def test_a_quantized_model_is_refused() -> None:
    net = Net()
    scale, zero = net.constant(0.1, "s"), net.constant(0, "z", np.int8)
    quantized = net.add("QuantizeLinear", "input", scale, zero)
    model = net.model(net.conv(net.add("DequantizeLinear", quantized, scale, zero), 4))
    with pytest.raises(CalibrationError, match="quantized already: it holds 2"):
        prepare(model)


def test_an_fp16_model_is_refused() -> None:
    net = Net()
    net.constant(np.ones(2), "half", np.float16)
    with pytest.raises(CalibrationError, match="holds float16 tensors"):
        prepare(net.model(net.conv("input", 4)))


def test_a_tensor_computed_twice_is_refused() -> None:
    net = Net()
    model = net.model(net.conv("input", 4, name="twice"))
    model.graph.node.append(model.graph.node[0])
    with pytest.raises(CalibrationError, match="'twice_out' is computed twice"):
        prepare(model)


def test_a_tensor_that_nothing_computes_is_named() -> None:
    net = Net()
    with pytest.raises(CalibrationError, match="nothing computes tensor 'nowhere'"):
        prepare(net.model(net.add("Relu", "nowhere")))


def test_an_input_without_a_name_is_refused() -> None:
    net = Net()
    model = net.model(net.conv("input", 4))
    model.graph.input.add().name = ""
    with pytest.raises(CalibrationError, match="a tensor has no name"):
        prepare(model)


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_a_weight_that_is_not_finite_is_refused(bad: float) -> None:
    net = Net()
    model = net.model(net.conv("input", 4, name="c"))
    set_constant(model, "c_bias", np.array([0, bad, 0, 0], np.float32))
    with pytest.raises(CalibrationError, match="1 of the 4 values of 'c_bias' are NaN or infinite"):
        prepare(model)


def test_a_model_that_branches_is_refused() -> None:
    net = Net()
    output = helper.make_tensor_value_info("y", TensorProto.FLOAT, [1])
    branch = helper.make_graph([helper.make_node("Identity", ["input"], ["y"])], "b", [], [output])
    flag = net.constant(True, "flag", np.bool_)
    model = net.model(net.add("If", flag, then_branch=branch, else_branch=branch))
    with pytest.raises(CalibrationError, match="branches at run time"):
        prepare(model)


def test_the_view_knows_producers_readers_and_constants() -> None:
    net = Net()
    conv = net.conv("input", 4, name="c")
    graph = Graph(prepare(net.model(net.add("Add", conv, conv, name="sum"))))
    made_by = graph.producer("c_out")
    assert made_by is not None
    assert made_by.name == "c"
    assert [(use.node, use.index) for use in graph.uses("c_out")] == [("sum", 0), ("sum", 1)]
    assert graph.constant("c_out") is None
    assert graph.producer("input") is None
    weight = graph.constant("c_weight")
    assert weight is not None
    assert weight.shape == (4, 3, 1, 1)


def test_shapes_leave_the_batch_open() -> None:
    net = Net(size=8)
    graph = Graph(prepare(net.model(net.conv("input", 4, 3, stride=2))))
    assert graph.shape("conv0_out") == (None, 4, 4, 4)


def test_macs_count_one_image() -> None:
    net = Net(channels=4, size=8)
    wide = net.conv("input", 8, 3, name="wide")
    deep = net.conv(wide, 8, 3, group=8, stride=2, name="deep")
    flat = net.add("Flatten", net.add("GlobalAveragePool", deep))
    graph = Graph(prepare(net.model(net.gemm(flat, 8, 10))))
    macs = {node.name: graph.macs(node) for node in graph.nodes if graph.macs(node)}
    assert macs == {"wide": 8 * 8 * 8 * 4 * 9, "deep": 4 * 4 * 8 * 9, "gemm": 80}
    assert graph.is_depthwise(graph.node("deep"))
    assert not graph.is_depthwise(graph.node("wide"))


def test_macs_of_an_open_image_size_are_an_error() -> None:
    net = Net()
    model = net.model(net.conv("input", 4, name="c"))
    dims = model.graph.input[0].type.tensor_type.shape.dim
    dims[2].dim_param, dims[3].dim_param = "height", "width"
    graph = Graph(prepare(model))
    with pytest.raises(CalibrationError, match="The output shape of 'c' is not fixed"):
        graph.macs(graph.node("c"))
