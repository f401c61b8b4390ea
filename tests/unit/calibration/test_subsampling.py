"""The effect of counting a part of the elements is measured and reported."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import onnx
import pytest
from numpy.typing import NDArray

from calibration.graph import prepare
from calibration.quantize import quantize
from calibration.schemes import SCHEMES
from calibration.subsampling import sampling_effect
from tests.unit.calibration.nets import Net


def _network(size: int) -> onnx.ModelProto:
    net = Net(size=size)
    x = net.add("Relu", net.conv("input", 8, 3, name="a"), name="relu")
    x = net.add("Relu", net.conv(x, 8, 3, name="b"))
    return net.model(net.gemm(net.add("Flatten", net.add("GlobalAveragePool", x)), 8, 5))


def _images(size: int, count: int = 20) -> NDArray[np.float32]:
    return np.random.default_rng(4).normal(size=(count, 3, size, size)).astype(np.float32)


def test_small_tensors_are_counted_whole_and_nothing_is_reported() -> None:
    images = _images(16)
    assert sampling_effect(prepare(_network(16)), [images], tensors=["input", "relu_out"]) is None
    made = quantize(
        _network(16), lambda: [images], scheme=SCHEMES["tensorrt"], model_digest="m", effort="fast"
    )
    assert not any("histograms" in note for note in made.notes)


def test_the_difference_is_that_of_the_quantiles() -> None:
    images = _images(96)
    effect = sampling_effect(prepare(_network(96)), [images], tensors=["input"])
    assert effect is not None
    assert (effect.images, effect.sampled, effect.tensor) == (16, 1, "input")
    stride = int((3 * 96 * 96 / 4096) ** 0.5)
    assert stride == 2
    whole, part = np.abs(images[:16]), np.abs(images[:16, :, ::2, ::2][:, :, 1:, 1:])
    wanted = abs(np.quantile(part, 0.9999) / np.quantile(whole, 0.9999) - 1.0)
    assert effect.largest == effect.median == pytest.approx(wanted, abs=0.02)
    assert effect.largest > 0.0


def test_an_outlier_that_the_sample_misses_shows() -> None:
    images = _images(96)
    images[:, :, 0, 4] = 50.0  # the border is never sampled
    effect = sampling_effect(prepare(_network(96)), [images], tensors=["input", "relu_out"])
    assert effect is not None
    assert effect.largest > 0.5
    assert effect.sampled == 2


def test_the_note_is_kept_in_the_table_and_no_more_images_are_read_than_needed() -> None:
    images = _images(96, 24)
    read: list[int] = []

    def batches() -> Iterator[NDArray[np.float32]]:
        for start in range(0, len(images), 4):
            read.append(start)
            yield images[start : start + 4]

    made = quantize(
        _network(96), batches, scheme=SCHEMES["tensorrt"], model_digest="m", effort="fast"
    )
    assert any("on the first 16 images ranges differ" in note for note in made.table.notes)
    assert len(read) == 6 + 4
