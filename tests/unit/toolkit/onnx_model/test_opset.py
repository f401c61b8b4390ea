from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import onnx
import onnxruntime
import pytest
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from toolkit.errors import ModelError
from toolkit.onnx_model.opset import lower_to_17

INPUT = np.random.default_rng(0).standard_normal((2, 4, 6, 6)).astype(np.float32)


def model(
    nodes: Sequence[onnx.NodeProto], outputs: int = 1, **constants: NDArray[np.generic]
) -> onnx.ModelProto:
    graph = helper.make_graph(
        list(nodes),
        "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [2, 4, 6, 6])],
        [helper.make_tensor_value_info(f"y{i}", TensorProto.FLOAT, None) for i in range(outputs)],
        [numpy_helper.from_array(np.asarray(value), name) for name, value in constants.items()],
    )
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)])
    made.ir_version = 8
    return onnx.shape_inference.infer_shapes(made)


def run(made: onnx.ModelProto) -> list[NDArray[np.float32]]:
    onnx.checker.check_model(made)
    session = onnxruntime.InferenceSession(
        made.SerializeToString(), providers=["CPUExecutionProvider"]
    )
    results: list[NDArray[np.float32]] = session.run(None, {"x": INPUT})
    return results


@pytest.mark.parametrize("kind", ["ReduceMean", "ReduceMax", "ReduceL2", "ReduceLogSumExp"])
@pytest.mark.parametrize("keepdims", [0, 1])
def test_a_reduction_computes_the_same_at_17(kind: str, keepdims: int) -> None:
    made = model(
        [helper.make_node(kind, ["x", "axes"], ["y0"], keepdims=keepdims)],
        axes=np.array([-1, 2], dtype=np.int64),
    )
    before = run(made)
    lower_to_17(made)
    assert made.opset_import[0].version == 17
    assert np.array_equal(run(made)[0], before[0])


def test_a_split_computes_the_same_at_17() -> None:
    made = model([helper.make_node("Split", ["x"], ["y0", "y1"], axis=1, num_outputs=2)], outputs=2)
    before = run(made)
    lower_to_17(made)
    assert all(np.array_equal(a, b) for a, b in zip(run(made), before, strict=True))


def test_a_plain_resize_computes_the_same_at_17() -> None:
    made = model(
        [helper.make_node("Resize", ["x", "", "scales"], ["y0"], mode="nearest", antialias=0)],
        scales=np.array([1, 1, 2, 2], dtype=np.float32),
    )
    before = run(made)
    lower_to_17(made)
    assert np.array_equal(run(made)[0], before[0])


@pytest.mark.parametrize(
    ("node", "reason"),
    [
        (helper.make_node("Mish", ["x"], ["y0"], name="m"), "new in opset 18"),
        (helper.make_node("ReduceMean", ["x", "computed"], ["y0"], name="m"), "axes are computed"),
        (
            helper.make_node(
                "Resize", ["x", "", "s"], ["y0"], name="m", mode="linear", antialias=1
            ),
            "antialias is 1",
        ),
        (helper.make_node("Pad", ["x", "p", "", "axes"], ["y0"], name="m"), "pads named axes"),
    ],
)
def test_what_17_cannot_say_is_refused_by_name(node: onnx.NodeProto, reason: str) -> None:
    with pytest.raises(ModelError, match=f"opset 17: {node.op_type} 'm'.*{reason}"):
        lower_to_17(model([node]))
