"""Kernel names to layers: as TensorRT joins names, and as ONNX Runtime takes one."""

from __future__ import annotations

import onnx
import pytest

from calibration.graph import Graph
from tests.unit.calibration.nets import Net
from toolkit.tune.kernel_layers import layers_of_kernels


@pytest.fixture(scope="module")
def graph() -> Graph:
    """Two blocks: a plain convolution, then two into one Add and its Relu."""
    return Graph(_residual())


def _residual() -> onnx.ModelProto:
    net = Net()
    stem = net.add("Relu", net.conv("input", 8, 3, name="stem"), name="relu")
    main = net.conv(net.clip(net.conv(stem, 8, 3, name="a"), name="clip"), 8, 3, name="b")
    side = net.conv(stem, 8, 1, name="down")
    out = net.add("Relu", net.add("Add", main, side, name="sum"), name="last")
    pooled = net.add("Flatten", net.add("GlobalAveragePool", out, name="pool"), name="flat")
    return net.model(net.gemm(pooled, 8, 4, name="fc"))


def _one(graph: Graph, name: str, backend: str) -> str:
    return layers_of_kernels([name], graph, backend=backend)[0]


@pytest.mark.parametrize(
    ("name", "layer"),
    [
        ("stem", "stem"),
        ("stem + relu", "stem"),
        ("stem_weight + stem_QuantizeLinear + stem + relu", "stem"),
        ("b + sum + PWN(last)", "b"),
        ("a || down", ""),  # two layers in one kernel: neither has a time of its own
        ("a + clip + b", ""),
        ("Reformatting CopyNode for Input Tensor 0 to relu + stem", ""),
        ("Reformatting CopyNode for Output Tensor 0 to fc", ""),
        ("{ForeignNode[stem...fc]}", ""),
        ("PWN(PWN(sum), last)", ""),
        ("pool", ""),
        ("stemlike + relu", ""),
        ("", ""),
    ],
)
def test_a_kernel_of_tensorrt_is_the_one_layer_among_the_names_it_joins(
    graph: Graph, name: str, layer: str
) -> None:
    assert _one(graph, name, "tensorrt") == layer


@pytest.mark.parametrize(
    ("name", "layer"),
    [
        ("stem", "stem"),
        ("fused a", "a"),
        ("stem_token_1", "stem"),
        ("relu_out_nchwc", "stem"),
        ("clip_out_nchwc", "a"),
        ("a_out_nchwc_token_4", "a"),
        ("fc", "fc"),
        ("pool_out_nchwc", ""),
        ("relu", ""),  # a kernel of its own: its layer is elsewhere
        ("ReorderOutput", ""),
        ("input_QuantizeLinear", ""),
        ("stem + relu", ""),
        ("", ""),
    ],
)
def test_a_kernel_of_onnx_runtime_is_named_after_a_node_or_what_it_writes(
    graph: Graph, name: str, layer: str
) -> None:
    assert _one(graph, name, "onnxruntime") == layer


def test_a_sum_of_two_layers_belongs_to_the_one_that_no_other_kernel_is(graph: Graph) -> None:
    names = ["last_out_nchwc", "down_out_nchwc"]
    assert layers_of_kernels(names, graph, backend="onnxruntime") == ("b", "down")
    assert _one(graph, "last_out_nchwc", "onnxruntime") == ""
