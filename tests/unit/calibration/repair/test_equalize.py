"""Equalization keeps the float function and evens out the channels."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray

from calibration.graph import Graph, prepare
from calibration.placement import place
from calibration.repair.equalize import (
    Domain,
    columns_divided,
    domains,
    equalize,
    gain_of,
)
from calibration.schemes import SCHEMES
from tests.unit.calibration.nets import Net, run


def _chain(activation: str, *, depthwise: bool = False) -> onnx.ModelProto:
    """Conv, activation, Conv, activation, pool, Gemm."""
    net = Net(size=8)
    x = _activated(net, net.conv("input", 8, 3, name="a"), activation, "act")
    x = net.conv(x, 8, 3, name="b", group=8 if depthwise else 1)
    x = _activated(net, x, activation, "act2")
    return prepare(net.model(net.gemm(net.add("Flatten", net.add("GlobalAveragePool", x)), 8, 5)))


def _activated(net: Net, source: str, activation: str, name: str) -> str:
    if activation == "Clip":
        return net.clip(source, name=name)
    if activation == "Silu":
        return net.add("Mul", source, net.add("Sigmoid", source), name=name)
    return net.add(activation, source, name=name)


def _residual() -> onnx.ModelProto:
    net = Net(size=8)
    x = net.add("Relu", net.conv("input", 8, 3, name="a"))
    x = net.add("Relu", net.add("Add", x, net.conv(x, 8, 3, name="b")))
    return prepare(net.model(net.add("Relu", net.conv(x, 6, 3, name="c"))))


def _domains(model: onnx.ModelProto) -> tuple[Domain, ...]:
    return domains(Graph(model), place(model, SCHEMES["tensorrt"]))


def _images(count: int = 6) -> NDArray[np.float32]:
    return np.random.default_rng(8).normal(size=(count, 3, 8, 8)).astype(np.float32)


def _gains(model: onnx.ModelProto, seed: int) -> dict[Domain, NDArray[np.float32]]:
    rng = np.random.default_rng(seed)
    made = {}
    for domain in _domains(model):
        rows = Graph(model).shape(Graph(model).node(domain.producers[0]).input[1])
        assert rows is not None
        made[domain] = np.exp(rng.uniform(0.0, 3.0, int(rows[0] or 0))).astype(np.float32)
    return made


@pytest.mark.parametrize("depthwise", [False, True])
@settings(max_examples=10, deadline=None)
@given(st.integers(0, 1000))
def test_any_gain_through_relu_keeps_the_function(depthwise: bool, seed: int) -> None:
    model = _chain("Relu", depthwise=depthwise)
    gains = _gains(model, seed)
    assert gains
    before, after = run(model, _images()), run(equalize(model, gains), _images())
    assert np.abs(before - after).max() <= 1e-4 * np.abs(before).max()


@pytest.mark.parametrize("activation", ["LeakyRelu", "Relu"])
def test_activations_that_scale_with_their_input_are_passed(activation: str) -> None:
    assert _domains(_chain(activation))


@pytest.mark.parametrize("activation", ["Silu", "HardSwish", "Sigmoid"])
def test_no_gain_passes_a_curved_activation(activation: str) -> None:
    assert not _domains(_chain(activation))


def test_a_domain_that_one_convolution_both_reads_and_makes_is_left_alone() -> None:
    # b would be scaled twice, in its rows and in its columns.
    assert not [domain for domain in _domains(_residual()) if "c" in domain.consumers]


def test_through_a_clip_only_channels_that_never_reach_it_are_lifted_and_not_beyond() -> None:
    domain = Domain(("t",), frozenset({"t"}), ("a",), ("b",), 6.0)
    high = np.array([6.0, 3.0, 0.5, 0.0], np.float32)
    gain = gain_of(domain, np.zeros(4, np.float32), high, strength=1.0)
    np.testing.assert_allclose(gain, [1.0, 2.0, 12.0, 1.0])


def test_a_gain_within_the_measured_room_keeps_the_function_through_a_clip() -> None:
    model, images = _chain("Clip"), _images()
    part = onnx.ModelProto()
    part.CopyFrom(model)
    del part.graph.output[:]
    part.graph.output.append(onnx.helper.make_empty_tensor_value_info("act_out"))
    reached = run(part, images).max(axis=(0, 2, 3))
    domain = next(d for d in _domains(model) if "act_out" in d.tensors)
    assert domain.cap == 6.0
    gain = gain_of(domain, np.zeros_like(reached), reached, strength=1.0)
    assert (gain > 1.0).any()
    before, after = run(model, images), run(equalize(model, {domain: gain}), images)
    assert np.abs(before - after).max() <= 1e-4 * np.abs(before).max()


@settings(max_examples=100, deadline=None)
@given(
    arrays(np.float32, 6, elements=st.floats(0.0, 1e4, width=32)),
    st.floats(0.0, 1.0),
    st.sampled_from([6.0, float("inf")]),
)
def test_gains_are_at_least_one_bounded_and_never_widen_the_tensor(
    high: NDArray[np.float32], strength: float, cap: float
) -> None:
    high = np.minimum(high, np.float32(cap))
    domain = Domain(("t",), frozenset({"t"}), ("a",), ("b",), cap)
    gain = gain_of(domain, np.zeros(6, np.float32), high, strength=strength)
    assert (gain >= 1.0).all()
    assert (gain <= 64.0).all()
    assert (gain * high <= min(cap, max(high.max(), cap if np.isfinite(cap) else 0)) * 1.0001).all()


def test_full_strength_makes_all_channels_equally_wide() -> None:
    domain = Domain(("t",), frozenset({"t"}), ("a",), ("b",), float("inf"))
    low = np.array([-8.0, -1.0, 0.0], np.float32)
    high = np.array([4.0, 0.5, 2.0], np.float32)
    gain = gain_of(domain, low, high, strength=1.0)
    np.testing.assert_allclose(np.maximum(-low, high) * gain, 8.0)


@settings(max_examples=30, deadline=None)
@given(st.sampled_from([1, 2, 4]), st.integers(0, 100))
def test_divided_columns_undo_a_gain_on_the_input(groups: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    weight = rng.normal(size=(8, 4 // groups, 1, 1))
    gain = rng.uniform(1.0, 9.0, 4).astype(np.float32)
    x = rng.normal(size=4)

    def product(kernel: NDArray[np.float64], values: NDArray[np.float64]) -> NDArray[np.float64]:
        parts = kernel.reshape(groups, 8 // groups, -1), values.reshape(groups, -1)
        return np.asarray(np.einsum("goi,gi->go", *parts).reshape(8))

    divided = columns_divided(weight, gain, groups)
    np.testing.assert_allclose(product(divided, x * gain), product(weight, x), atol=1e-9)
