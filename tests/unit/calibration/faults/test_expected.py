"""Gains and shifts that calibration wrote into a graph are understood; faults remain."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import onnx
import pytest
from numpy.typing import NDArray

from calibration.faults.align import align
from calibration.faults.expected import ExpectedLayer, expected_layers
from calibration.faults.measured import accumulated_errors, local_errors
from calibration.faults.stored import named, with_rounded_weights
from calibration.graph import Graph, prepare
from calibration.nodes import set_constant
from calibration.quantize import quantize
from calibration.schemes import SCHEMES
from calibration.skeleton import float_skeleton
from tests.unit.calibration.nets import Net


def _net() -> onnx.ModelProto:
    net = Net(size=8, seed=4)
    stem = net.add("Relu", net.conv("input", 8, 3, name="stem"), name="relu")
    branch = net.add("Relu", net.conv(stem, 8, 3, name="branch"), name="relu_branch")
    joined = net.add("Add", net.conv(branch, 8, 1, name="back"), stem, name="join")
    last = net.conv(net.add("Relu", joined, name="relu_join"), 6, 1, name="last")
    return net.model(net.add("Relu", last, name="out"), opset=17)


def _images() -> NDArray[np.float32]:
    return np.random.default_rng(0).normal(size=(16, 3, 8, 8)).astype(np.float32)


def _batches() -> Iterator[NDArray[np.float32]]:
    yield _images()


def _layers(
    scheme: str, effort: str
) -> tuple[onnx.ModelProto, onnx.ModelProto, onnx.ModelProto, tuple[ExpectedLayer, ...]]:
    model = _net()
    made = quantize(model, _batches, scheme=SCHEMES[scheme], effort=effort, model_digest="x").model
    file = named(made)
    reference, skeleton = prepare(model), prepare(float_skeleton(with_rounded_weights(file)))
    first, second = Graph(reference), Graph(skeleton)
    return reference, skeleton, file, expected_layers(first, second, align(first, second))


@pytest.mark.parametrize("effort", ["fast", "balanced", "best"])
@pytest.mark.parametrize("scheme", ["tensorrt", "tensorrt-8", "onnxruntime-x86"])
def test_what_calibration_rewrote_is_no_fault(scheme: str, effort: str) -> None:
    reference, skeleton, file, layers = _layers(scheme, effort)
    assert [layer.reference for layer in layers] == ["stem", "branch", "back", "last"]
    for layer in layers:
        bias = np.abs(layer.found_bias - layer.bias).max()
        assert bias < 0.1 * np.abs(layer.bias).max()
    local = local_errors(skeleton, layers, {}, _images(), tick=lambda _: None)
    total = accumulated_errors(reference, file, layers, _images(), tick=lambda _: None)
    least = 25.0 if "x86" in scheme else 30.0  # 7-bit weights
    assert min(found.sqnr_db for found in local.values()) > least
    assert min(found.sqnr_db for found in total.values()) > 20.0


def test_a_zeroed_bias_is_told_from_a_shift() -> None:
    reference, skeleton, _, layers = _layers("tensorrt", "fast")
    name = Graph(skeleton).node("branch").input[2]
    set_constant(skeleton, name, np.zeros(8, np.float32))
    first, second = Graph(reference), Graph(skeleton)
    damaged = expected_layers(first, second, align(first, second))
    for before, after in zip(layers, damaged, strict=True):
        np.testing.assert_allclose(after.bias, before.bias, rtol=1e-5, atol=1e-5)
    assert not damaged[1].found_bias.any()
