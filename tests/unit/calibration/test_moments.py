"""Covariances of layer inputs, against the patches cut out by hand."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from calibration.graph import Graph, prepare
from calibration.moments import blocks_of, input_moments
from tests.unit.calibration.nets import Net


def _images(count: int = 12, size: int = 8, channels: int = 4) -> NDArray[np.float32]:
    shape = (count, channels, size, size)
    return np.random.default_rng(6).normal(1.0, 2.0, size=shape).astype(np.float32)


def _layer(group: int, kernel: int, stride: int = 1) -> onnx.ModelProto:
    net = Net(channels=4)
    x = net.conv("input", 8, kernel, name="layer", group=group, stride=stride)
    return prepare(net.model(net.add("Relu", x)))


def _patches(images: NDArray[np.float32], kernel: int, stride: int) -> NDArray[np.float64]:
    """Return (positions, C, kernel, kernel) of every output position, zeros where padded."""
    pad = kernel // 2
    padded = np.pad(images, ((0, 0), (0, 0), (pad, pad), (pad, pad)))
    views = np.lib.stride_tricks.sliding_window_view(padded, (kernel, kernel), axis=(2, 3))
    views = views[:, :, ::stride, ::stride].transpose(0, 2, 3, 1, 4, 5)
    return views.reshape(-1, images.shape[1], kernel, kernel).astype(np.float64)


@pytest.mark.parametrize("group", [1, 2, 4])
@pytest.mark.parametrize(("kernel", "stride"), [(1, 1), (3, 1), (3, 2)])
def test_the_covariance_is_that_of_the_patches_of_each_group(
    group: int, kernel: int, stride: int
) -> None:
    model, images = _layer(group, kernel, stride), _images()
    found = input_moments(model, [Graph(model).node("layer")], images)["layer"].covariance
    patches = _patches(images, kernel, stride)
    columns = 4 // group
    assert found.shape == (group, columns * kernel**2, columns * kernel**2)
    for index in range(group):
        part = patches[:, index * columns : (index + 1) * columns].reshape(len(patches), -1)
        wanted = np.cov(part, rowvar=False, bias=True).reshape(found[index].shape)
        np.testing.assert_allclose(found[index], wanted, atol=1e-3)


def test_a_gemm_has_one_block_over_its_features() -> None:
    net = Net(channels=4)
    pooled = net.add("Flatten", net.add("GlobalAveragePool", "input"))
    model = prepare(net.model(net.gemm(pooled, 4, 5, name="fc")))
    images = _images()
    found = input_moments(model, [Graph(model).node("fc")], images)["fc"].covariance
    wanted = np.cov(images.mean(axis=(2, 3)), rowvar=False, bias=True)
    np.testing.assert_allclose(found, wanted[None], atol=1e-4)


def test_large_images_enter_by_an_even_grid_of_positions() -> None:
    net = Net(channels=3, size=64)
    model = prepare(net.model(net.add("Relu", net.conv("input", 4, 1, name="layer"))))
    images = _images(8, 64, 3)
    found = input_moments(model, [Graph(model).node("layer")], images)["layer"].covariance
    wanted = np.cov(images.transpose(1, 0, 2, 3).reshape(3, -1), bias=True)
    np.testing.assert_allclose(found[0], wanted, atol=0.5)
    np.testing.assert_allclose(np.diag(found[0]), np.diag(wanted), rtol=0.1)


@settings(max_examples=100, deadline=None)
@given(
    st.integers(1, 8),
    st.integers(1, 16),
    st.sampled_from([1, 2, 3, 7, 64, 96, 512, 2048]),
    st.sampled_from([(), (1, 1), (3, 3), (7, 7)]),
)
def test_blocks_hold_whole_channels_and_every_input_once(
    groups: int, rows: int, channels: int, kernel: tuple[int, ...]
) -> None:
    shape = (groups * rows, channels, *kernel)
    count, per_group, cut, inputs = blocks_of(shape, groups)
    taps = int(np.prod(kernel))
    assert (count, per_group) == (groups, rows)
    assert cut * inputs == channels * taps
    assert inputs % taps == 0
    assert inputs <= 1024 or inputs == taps
