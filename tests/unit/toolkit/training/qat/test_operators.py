"""Every operator in PyTorch gives what ONNX Runtime gives."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from tests.unit.calibration.nets import Net, run

torch = pytest.importorskip("torch", reason="needs pip install 'edgekit[train]'")

from toolkit.errors import ModelError  # noqa: E402 - only with torch
from toolkit.training.qat.network import FLOAT, GraphNetwork  # noqa: E402 - only with torch
from toolkit.training.qat.operators import OPERATORS  # noqa: E402 - only with torch

_UNARY = ("HardSwish", "Identity", "Relu", "Sigmoid", "Tanh", "GlobalMaxPool", "GlobalAveragePool")


def _axes(net: Net, *values: int, name: str = "axes") -> str:
    return net.constant(values, name, np.int64)


def _with_constant(op_type: str) -> Callable[[Net], str]:
    values = np.linspace(0.5, 2.0, 3).reshape(1, 3, 1, 1)
    return lambda net: net.add(op_type, net.input, net.constant(values, "other"))


def _matmul(net: Net) -> str:
    return net.add("MatMul", net.input, net.constant(np.ones((8, 4)), "weight"))


def _batch_normalization(net: Net) -> str:
    names = [net.constant([0.5, 1.0, 2.0], name) for name in ("scale", "b", "mean", "var")]
    return net.add("BatchNormalization", net.input, *names)


def _gemm(net: Net) -> str:
    return net.gemm(net.add("Flatten", net.input), 192, 10)


def _split(net: Net) -> str:
    net.add("Split", net.input, _axes(net, 1, 2), name="split", axis=1)
    net.nodes[-1].output[:] = ["first", "second"]
    return net.add("Concat", "second", "first", axis=1)


def _shuffled(net: Net) -> str:
    return net.add("Transpose", net.input, perm=[0, 2, 1, 3])


def _gathered(net: Net) -> str:
    channel = net.add("Gather", net.input, net.constant(2, "index", np.int64), axis=1)
    return net.add("Unsqueeze", channel, _axes(net, 1))


def _squeezed(net: Net) -> str:
    return net.add("Squeeze", net.add("GlobalAveragePool", net.input), _axes(net, 2, 3))


def _sliced(net: Net) -> str:
    ends = _axes(net, 7, 3, name="ends")
    starts, axes = _axes(net, 1, 0, name="starts"), _axes(net, 2, 1)
    return net.add("Slice", net.input, starts, ends, axes, _axes(net, 2, 1, name="steps"))


def _padded(net: Net) -> str:
    amounts = _axes(net, 0, 0, 1, 2, 0, 0, 3, 4, name="amounts")
    return net.add("Pad", net.input, amounts, net.constant(-1.5, "value"))


def _reduced(net: Net) -> str:
    return net.add("ReduceMean", net.input, _axes(net, 2, 3), keepdims=0)


def _reshaped(net: Net) -> str:
    return net.add("Reshape", net.input, _axes(net, 0, -1, name="shape"))


def _pool(op_type: str, **extra: Any) -> Callable[[Net], str]:
    return lambda net: net.add(op_type, net.input, **extra)


_GRAPHS: list[tuple[str, Callable[[Net], str]]] = [
    *((op_type, _pool(op_type)) for op_type in _UNARY),
    *((op_type, _with_constant(op_type)) for op_type in ("Add", "Div", "Mul", "Sub")),
    ("AveragePool", _pool("AveragePool", kernel_shape=[2, 2], strides=[2, 2])),
    ("AveragePool", _pool("AveragePool", kernel_shape=[3, 3], pads=[1, 1, 1, 1])),
    ("BatchNormalization", _batch_normalization),
    ("Clip", lambda net: net.clip(net.input, -0.5, 0.5)),
    ("Concat", lambda net: net.add("Concat", net.input, net.input, axis=1)),
    ("Conv", lambda net: net.conv(net.input, 6, 3, stride=2, group=3)),
    ("Flatten", _pool("Flatten")),
    ("Gather", _gathered),
    ("Gemm", _gemm),
    ("HardSigmoid", _pool("HardSigmoid", alpha=1.0 / 6.0)),
    ("LeakyRelu", _pool("LeakyRelu", alpha=0.1)),
    ("MatMul", _matmul),
    ("MaxPool", _pool("MaxPool", kernel_shape=[3, 3], strides=[2, 2], ceil_mode=1)),
    ("MaxPool", _pool("MaxPool", kernel_shape=[3, 3], pads=[0, 0, 1, 1])),
    ("Pad", _padded),
    ("ReduceMean", _reduced),
    ("Reshape", _reshaped),
    ("Slice", _sliced),
    ("Softmax", _pool("Softmax", axis=1)),
    ("Split", _split),
    ("Squeeze", _squeezed),
    ("Transpose", _shuffled),
    ("Unsqueeze", _gathered),
]


@pytest.mark.parametrize(("op_type", "graph"), _GRAPHS, ids=lambda value: str(value)[:20])
def test_an_operator_gives_what_onnx_runtime_gives(
    op_type: str, graph: Callable[[Net], str]
) -> None:
    net = Net()
    model = net.model(graph(net), opset=18)
    assert op_type in {node.op_type for node in model.graph.node}
    images = np.random.default_rng(1).normal(size=(2, 3, 8, 8)).astype(np.float32)
    with torch.no_grad():
        found = GraphNetwork(model, FLOAT)(torch.from_numpy(images)).numpy()
    wanted = run(model, images)
    assert found.shape == wanted.shape
    assert np.abs(found - wanted).max() < 1e-5


def test_every_operator_is_tried_here() -> None:
    assert {op_type for op_type, _ in _GRAPHS} == set(OPERATORS)


def test_an_operator_without_a_row_is_named_at_once() -> None:
    net = Net()
    model = net.model(net.add("Elu", net.input, name="odd"))
    with pytest.raises(ModelError, match="no Elu of this kind: node 'odd'"):
        GraphNetwork(model, FLOAT)


def test_a_form_of_an_operator_that_is_not_known_is_named_with_the_reason() -> None:
    net = Net()
    pool = net.add("MaxPool", net.input, name="p", kernel_shape=[3, 3], auto_pad="SAME_UPPER")
    network = GraphNetwork(net.model(pool), FLOAT)
    with pytest.raises(ModelError, match=r"no MaxPool of this kind \(auto_pad\): node 'p'"):
        network(torch.zeros(1, 3, 8, 8))
