from __future__ import annotations

import json

from toolkit.build.inspector_layers import layers_from_inspector
from toolkit.build.layer_table import LayerTable

# The shapes of layers as TensorRT's developer guide prints them (8.x wording, then 10.x).
OLD_INT8 = {
    "Name": "conv1 + relu1",
    "LayerType": "CaskConvolution",
    "ParameterType": "Convolution",
    "Inputs": [{"Name": "a", "Format/Datatype": "Thirty-two wide channel vectorized Int8 format"}],
    "Outputs": [{"Name": "b", "Format/Datatype": "Row major linear FP32"}],
    "Weights": {"Type": "Int8", "Count": 432},
    "TacticName": "sm80_xmma_fprop_implicit_gemm_i8i8_i8i32_f32_nhwckrsc",
}
NEW_HALF = {
    "Name": "conv2",
    "LayerType": "CaskConvolution",
    "ParameterType": "Convolution",
    "Inputs": [{"Name": "b", "Format/Datatype": "Half"}],
    "Outputs": [{"Name": "c", "Format/Datatype": "Half"}],
    "Weights": {"Type": "Half", "Count": 432},
    "Metadata": "[ONNX Layer: /features/conv2/Conv]\x1e[ONNX Layer: /features/relu2/Relu]",
}
REFORMAT = {"Name": "reformat", "LayerType": "Reformat", "Inputs": [], "Outputs": []}
INT8_IN_FLOAT = {**OLD_INT8, "Weights": {"Type": "Float"}, "TacticName": "f32f32_tf32f32"}
FUSED_INT8 = {**OLD_INT8, "LayerType": "correlation", "Weights": None}


def layers(*rows: object) -> str:
    return json.dumps({"Layers": rows, "Bindings": ["a", "c"]})


CONVOLUTIONS = ["conv1", "/features/conv2/Conv"]


def read(text: str) -> LayerTable:
    return layers_from_inspector(text, convolutions=CONVOLUTIONS)


def test_int8_and_float_convolutions_are_told_apart() -> None:
    table = read(layers(OLD_INT8, NEW_HALF, REFORMAT))
    assert table.count(CONVOLUTIONS) == (1, 1)
    assert table.kernels == 3
    assert table.rows[0].outputs == ("Float",)
    assert table.rows[1].onnx_nodes == ("/features/conv2/Conv", "/features/relu2/Relu")


def test_a_layer_is_the_convolution_that_it_fuses_with_others() -> None:
    fused = {**OLD_INT8, "Name": "conv1.weight_QuantizeLinear + conv1"}
    assert read(layers(fused)).int8_nodes == {"conv1"}


def test_int8_inputs_with_float_weights_are_a_float_convolution() -> None:
    assert read(layers(INT8_IN_FLOAT)).count(["conv1"]) == (0, 1)


def test_a_fused_convolution_is_known_by_its_tactic() -> None:
    assert read(layers(FUSED_INT8)).count(["conv1"]) == (1, 0)


def test_names_without_types_are_no_layers() -> None:
    assert read(json.dumps({"Layers": ["conv1", "conv2"]})).rows == ()
    assert read("not JSON").rows == ()
    assert read("[1]").rows == ()
