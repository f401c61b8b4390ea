from __future__ import annotations

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper, numpy_helper

from toolkit.errors import ModelError
from toolkit.onnx_model.tidy import tidy


def exported(*, keepdims: int = 1, axes: tuple[int, ...] = (-1, -2)) -> onnx.ModelProto:
    """What PyTorch's exporter writes: meaningless names, axes as a constant, paths in metadata."""
    conv = helper.make_node("Conv", ["x", "w"], ["getitem"], name="node_Conv_1")
    mean = helper.make_node("ReduceMean", ["getitem", "val_1"], ["mean"], keepdims=keepdims)
    last = helper.make_node("Relu", ["mean"], ["y"], name="n4")
    for node, scopes in (
        (conv, "['', 'features', 'features.0', 'conv2d']"),
        (mean, "['', 'mean']"),
    ):
        node.metadata_props.add(key="pkg.torch.onnx.name_scopes", value=scopes)
        node.metadata_props.add(key="pkg.torch.onnx.stack_trace", value="/home/me/secret.py")
    graph = helper.make_graph(
        [conv, mean, last],
        "main_graph",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["batch", 3, 8, 8])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)],
        [
            numpy_helper.from_array(np.ones((4, 3, 3, 3), np.float32), "w"),
            numpy_helper.from_array(np.array(axes, np.int64), "val_1"),
        ],
        value_info=[
            helper.make_tensor_value_info("getitem", TensorProto.FLOAT, ["batch", 4, 6, 6])
        ],
    )
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)])
    made.ir_version = 8
    return onnx.shape_inference.infer_shapes(made)


def outputs(model: onnx.ModelProto) -> np.ndarray[tuple[int, ...], np.dtype[np.float32]]:
    session = onnxruntime.InferenceSession(
        model.SerializeToString(), providers=["CPUExecutionProvider"]
    )
    x = np.random.default_rng(0).standard_normal((2, 3, 8, 8)).astype(np.float32)
    found: np.ndarray[tuple[int, ...], np.dtype[np.float32]] = session.run(None, {"x": x})[0]
    return found


def test_nodes_and_tensors_are_named_after_the_module_they_came_from() -> None:
    graph = tidy(exported(), opset=18).graph
    assert [node.name for node in graph.node] == [
        "features.0/Conv",
        "GlobalAveragePool",
        "Relu",
    ]
    assert graph.node[0].output[0] == graph.node[1].input[0] == "features.0/Conv"
    assert graph.value_info[0].name == "features.0/Conv"
    assert (graph.input[0].name, graph.output[0].name) == ("x", "y")


def test_equal_names_are_numbered() -> None:
    model = exported()
    model.graph.node[2].output[0] = "between"
    model.graph.node.append(helper.make_node("Relu", ["between"], ["y"]))
    assert [node.name for node in tidy(model, opset=18).graph.node][2:] == ["Relu", "Relu_2"]


@pytest.mark.parametrize("keepdims", [0, 1])
def test_a_mean_over_height_and_width_becomes_pooling_and_computes_the_same(keepdims: int) -> None:
    before = outputs(exported(keepdims=keepdims))
    model = tidy(exported(keepdims=keepdims), opset=18)
    kinds = [node.op_type for node in model.graph.node]
    assert kinds == ["Conv", "GlobalAveragePool", *(["Flatten"] if not keepdims else []), "Relu"]
    assert np.allclose(outputs(model), before, rtol=1e-6)


def test_a_mean_over_other_axes_stays() -> None:
    model = tidy(exported(axes=(1,)), opset=18)
    assert [node.op_type for node in model.graph.node] == ["Conv", "ReduceMean", "Relu"]


def test_traces_of_the_machine_and_unused_weights_are_removed() -> None:
    model = tidy(exported(), opset=18)
    assert b"secret" not in model.SerializeToString()
    assert [tensor.name for tensor in model.graph.initializer] == ["w"]


def test_the_ir_version_is_the_lowest_that_the_opset_allows() -> None:
    assert tidy(exported(), opset=17).ir_version == 8


def test_a_training_operator_is_refused() -> None:
    model = exported()
    model.graph.node[2].op_type = "Dropout"
    with pytest.raises(ModelError, match="training operator"):
        tidy(model, opset=18)
