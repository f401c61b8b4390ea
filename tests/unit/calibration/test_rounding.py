"""Integers and scales."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from numpy.typing import NDArray

from calibration.errors import CalibrationError
from calibration.rounding import (
    bias_floor,
    dequantize,
    fake_quantize,
    grid_of,
    largest_integer,
    quantize_bias,
    quantize_weight,
)
from calibration.table import Range

WEIGHTS = hnp.arrays(
    np.float32,
    hnp.array_shapes(min_dims=2, max_dims=4, max_side=5),
    elements=st.floats(-100, 100, width=32),
)


@given(weight=WEIGHTS, bits=st.sampled_from([7, 8]))
def test_a_weight_is_off_by_at_most_half_a_step_of_its_channel(
    weight: NDArray[np.float32], bits: int
) -> None:
    integers, scale = quantize_weight(weight, 0, bits)
    error = np.abs(dequantize(integers, scale, 0) - weight)
    step = scale.reshape(-1, *[1] * (weight.ndim - 1))
    assert (error <= step * 0.5 * (1 + 1e-4) + np.abs(weight) * 1e-6).all()
    assert np.abs(integers).max() <= largest_integer(bits)


@given(weight=WEIGHTS)
def test_quantizing_twice_changes_nothing(weight: NDArray[np.float32]) -> None:
    once = fake_quantize(weight, 0, 8)
    np.testing.assert_allclose(fake_quantize(once, 0, 8), once, rtol=1e-5)


def test_the_largest_weight_of_each_channel_is_127() -> None:
    weight = np.array([[0.5, -2.0], [3.0, 1.0]], np.float32)
    integers, scale = quantize_weight(weight, 0, 8)
    np.testing.assert_allclose(scale, np.array([2.0, 3.0]) / 127, rtol=1e-6)
    assert integers.tolist() == [[32, -127], [127, 42]]


def test_one_scale_for_the_whole_weight() -> None:
    integers, scale = quantize_weight(np.array([[1.0, -0.5]], np.float32), None, 8)
    assert scale.shape == ()
    assert integers.tolist() == [[127, -64]]


def test_halves_round_to_even() -> None:
    weight = np.array([[127.0, 0.5, 1.5, 2.5, -0.5, -1.5]], np.float32)
    integers, _ = quantize_weight(weight, 0, 8)
    assert integers.tolist() == [[127, 0, 2, 2, 0, -2]]


def test_two_products_of_7_bit_weights_fit_16_bits() -> None:
    assert 2 * 255 * largest_integer(7) <= np.iinfo(np.int16).max < 2 * 255 * largest_integer(8)


def test_a_dead_channel_takes_the_smallest_live_scale() -> None:
    weight = np.array([[0.0, 0.0], [1.27, 0.0], [12.7, 0.0]], np.float32)
    integers, scale = quantize_weight(weight, 0, 8)
    np.testing.assert_allclose(scale, [0.01, 0.01, 0.1], rtol=1e-6)
    assert integers[0].tolist() == [0, 0]


def test_a_weight_of_zeros_has_a_positive_scale() -> None:
    for axis in (0, None):
        _, scale = quantize_weight(np.zeros((2, 2), np.float32), axis, 8)
        assert (scale > 0).all()


def test_symmetric_activations_have_zero_point_0_and_amax_at_127() -> None:
    grid = grid_of(Range(-1.0, 2.0, "minmax"), "int8")
    assert (grid.zero_point, grid.dtype) == (0, np.int8)
    np.testing.assert_allclose(grid.scale, 2.0 / 127, rtol=1e-6)
    np.testing.assert_allclose(grid.round(np.array([-9.0], np.float32)), -128 * 2 / 127, rtol=1e-6)


@given(low=st.floats(-1e4, 1e4, width=32), high=st.floats(-1e4, 1e4, width=32))
def test_zero_is_exact_on_every_uint8_grid(low: float, high: float) -> None:
    grid = grid_of(Range(min(low, high), max(low, high), "minmax"), "uint8")
    assert 0 <= grid.zero_point <= 255
    assert grid.round(np.zeros(1, np.float32))[0] == 0.0


@given(high=st.floats(2**-10, 1e4, width=32))
def test_a_uint8_grid_never_reaches_beyond_its_range(high: float) -> None:
    grid = grid_of(Range(0.0, high, "minmax"), "uint8")
    assert np.float32(255) * grid.scale <= np.float32(high)
    np.testing.assert_allclose(np.float32(255) * grid.scale, high, rtol=1e-6)


def test_a_tensor_that_is_always_zero_has_a_positive_scale() -> None:
    for activations in ("int8", "uint8"):
        assert grid_of(Range(0.0, 0.0, "minmax"), activations).scale > 0


@pytest.mark.parametrize("low", [float("nan"), float("-inf")])
def test_a_range_that_is_not_finite_is_an_error(low: float) -> None:
    with pytest.raises(CalibrationError, match="not finite"):
        grid_of(Range(low, 1.0, "minmax"), "int8")


def test_the_floor_keeps_a_bias_within_int32() -> None:
    weight = np.full((1, 1), 1e-9, np.float32)
    bias, input_scale = np.array([5.0], np.float32), np.float32(0.01)
    _, scale = quantize_weight(weight, 0, 8, floor=bias_floor(bias, input_scale))
    integers, bias_scale = quantize_bias(bias, input_scale, scale)
    np.testing.assert_allclose(integers * bias_scale, bias, rtol=1e-6)
