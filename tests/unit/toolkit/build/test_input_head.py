"""The integers an INT8 cpu engine takes are those that its whole graph would make."""

from __future__ import annotations

import base64
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from toolkit.build.input_head import cut_input_head
from toolkit.runtime.onnxruntime import INPUT_HEAD

RNG = np.random.default_rng(0)


def graph_of(nodes: list[onnx.NodeProto], outputs: list[str]) -> onnx.ModelProto:
    """A model (N, 3, 8, 8) -> `outputs`, with a scale, a zero-point, pads and weights at hand."""
    constants = {
        "scale": np.float32(0.02),
        "zero": np.uint8(114),
        "pads": np.array([0, 0, 0, 0, 0, 1, 0, 0], np.int64),
        "weights": RNG.integers(-9, 9, (4, 4, 1, 1)).astype(np.int8),
        "weights_scale": np.float32(0.1),
        "weights_zero": np.int8(0),
    }
    graph = helper.make_graph(
        nodes,
        "net",
        [helper.make_tensor_value_info("image", TensorProto.FLOAT, ["batch", 3, 8, 8])],
        [helper.make_empty_tensor_value_info(name) for name in outputs],
        [numpy_helper.from_array(np.asarray(value), name) for name, value in constants.items()],
    )
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    return onnx.shape_inference.infer_shapes(made)


def quantized() -> list[onnx.NodeProto]:
    return [
        helper.make_node("QuantizeLinear", ["image", "scale", "zero"], ["codes"]),
        helper.make_node("Pad", ["codes", "pads", "zero"], ["padded"]),
        helper.make_node("Transpose", ["padded"], ["rows"], perm=[0, 2, 3, 1]),
        helper.make_node("Transpose", ["rows"], ["planes"], perm=[0, 3, 1, 2]),
        helper.make_node(
            "QLinearConv",
            [
                "planes",
                "scale",
                "zero",
                "weights",
                "weights_scale",
                "weights_zero",
                "scale",
                "zero",
            ],
            ["convolved"],
        ),
        helper.make_node("DequantizeLinear", ["convolved", "scale", "zero"], ["logits"]),
    ]


def run(model: onnx.ModelProto, name: str, value: NDArray[Any]) -> NDArray[Any]:
    session = onnxruntime.InferenceSession(model.SerializeToString())
    return np.asarray(session.run(None, {name: value})[0])


def head_of(model: onnx.ModelProto) -> onnx.ModelProto:
    kept = {entry.key: entry.value for entry in model.metadata_props}
    return onnx.load_from_string(base64.b64decode(kept[INPUT_HEAD]))


@pytest.mark.parametrize("batch", [1, 3])
def test_head_and_rest_are_the_whole_graph_bit_for_bit(batch: int) -> None:
    whole = graph_of(quantized(), ["logits"])
    cut = onnx.ModelProto()
    cut.CopyFrom(whole)
    assert cut_input_head(cut)
    image = RNG.normal(0.0, 2.0, (batch, 3, 8, 8)).astype(np.float32)
    codes = run(head_of(cut), "image", image)
    assert codes.dtype == np.uint8
    assert codes.shape == (batch, 4, 8, 8)  # both Transposes were part of what moves integers
    (given,) = [value.name for value in cut.graph.input]
    np.testing.assert_array_equal(run(cut, given, codes), run(whole, "image", image))


def test_what_only_the_head_read_leaves_the_graph_and_the_rest_stays() -> None:
    cut = graph_of(quantized(), ["logits"])
    cut_input_head(cut)
    assert [node.op_type for node in cut.graph.node] == ["QLinearConv", "DequantizeLinear"]
    kept = {tensor.name for tensor in cut.graph.initializer}
    assert kept == {"scale", "zero", "weights", "weights_scale", "weights_zero"}
    assert {tensor.name for tensor in head_of(cut).graph.initializer} == {"scale", "zero", "pads"}


@pytest.mark.parametrize(
    ("nodes", "outputs"),
    [
        ([helper.make_node("Relu", ["image"], ["logits"])], ["logits"]),
        (
            [*quantized(), helper.make_node("Relu", ["image"], ["also"])],  # a second reader
            ["logits", "also"],
        ),
    ],
)
def test_a_picture_that_is_read_as_floats_stays_the_input(
    nodes: list[onnx.NodeProto], outputs: list[str]
) -> None:
    model = graph_of(nodes, outputs)
    before = model.SerializeToString(deterministic=True)
    assert not cut_input_head(model)
    assert model.SerializeToString(deterministic=True) == before


def test_a_graph_with_graphs_inside_stays_whole() -> None:
    """What a body reads stands in no list of inputs."""
    out = helper.make_tensor_value_info("picked", TensorProto.FLOAT, None)
    body = helper.make_graph([helper.make_node("Identity", ["scale"], ["picked"])], "b", [], [out])
    nodes = quantized()
    nodes.append(helper.make_node("If", ["yes"], ["also"], then_branch=body, else_branch=body))
    model = graph_of(nodes, ["logits", "also"])
    model.graph.initializer.append(numpy_helper.from_array(np.array(True), "yes"))
    assert not cut_input_head(model)


def test_a_constant_that_nothing_reads_but_the_result_stays() -> None:
    model = graph_of(quantized(), ["logits", "weights_scale"])
    assert cut_input_head(model)
    assert "weights_scale" in {tensor.name for tensor in model.graph.initializer}


def test_a_computed_scale_is_no_part_of_a_head() -> None:
    nodes = [helper.make_node("Abs", ["scale"], ["computed"]), *quantized()]
    nodes[1].input[1] = "computed"
    assert not cut_input_head(graph_of(nodes, ["logits"]))


def test_integers_of_a_type_that_no_zero_point_tells_stay_inside() -> None:
    nodes = quantized()
    del nodes[0].input[2]
    assert not cut_input_head(graph_of(nodes, ["logits"]))


def test_integers_with_two_readers_end_the_head() -> None:
    nodes = quantized()
    nodes.append(helper.make_node("DequantizeLinear", ["codes", "scale", "zero"], ["also"]))
    model = graph_of(nodes, ["logits", "also"])
    assert cut_input_head(model)
    assert [node.op_type for node in head_of(model).graph.node] == ["QuantizeLinear"]
    assert [value.name for value in model.graph.input] == ["codes"]
