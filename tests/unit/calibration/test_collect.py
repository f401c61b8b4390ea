"""Statistics of activations, against values computed by hand with NumPy."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from calibration.collect import Statistics, collect, runs, unstable
from calibration.errors import CalibrationError
from calibration.graph import Graph, prepare
from calibration.inputs import InputWatch
from tests.unit.calibration.nets import Net, run

TENSORS = ["input", "relu_out"]


def _network(size: int = 12) -> onnx.ModelProto:
    net = Net(size=size)
    x = net.add("Relu", net.conv("input", 6, 3, name="a"), name="relu")
    pool = net.add("Flatten", net.add("GlobalAveragePool", net.conv(x, 4, 3, name="b")))
    return prepare(net.model(net.gemm(pool, 4, 5)))


def _images(count: int = 40, size: int = 12) -> NDArray[np.float32]:
    return np.random.default_rng(5).normal(size=(count, 3, size, size)).astype(np.float32)


def _cut(images: NDArray[np.float32], sizes: list[int]) -> list[NDArray[np.float32]]:
    """Cut into batches of these sizes, again and again."""
    parts, start, index = [], 0, 0
    while start < len(images):
        parts.append(images[start : start + sizes[index % len(sizes)]])
        start, index = start + sizes[index % len(sizes)], index + 1
    return parts


def _activation(model: onnx.ModelProto, images: NDArray[np.float32]) -> NDArray[np.float32]:
    part = onnx.ModelProto()
    part.CopyFrom(model)
    del part.graph.output[:]
    part.graph.output.append(onnx.helper.make_empty_tensor_value_info("relu_out"))
    return run(part, images)


def test_low_high_and_mean_are_those_of_every_element() -> None:
    model, images = _network(), _images()
    found = collect(model, [images], tensors=TENSORS)
    values = {"input": images, "relu_out": _activation(model, images)}
    assert found.samples == len(images)
    for name, value in values.items():
        statistics = found.tensors[name]
        np.testing.assert_allclose(statistics.low, value.min(axis=(0, 2, 3)), atol=1e-6)
        np.testing.assert_allclose(statistics.high, value.max(axis=(0, 2, 3)), rtol=1e-5)
        np.testing.assert_allclose(statistics.mean, value.mean(axis=(0, 2, 3)), atol=1e-5)
        assert statistics.histogram.total == value.size, "tensors this small are counted whole"


def test_the_mean_image_is_there_where_it_was_asked_for() -> None:
    model, images = _network(), _images()
    found = collect(model, [images], tensors=TENSORS, mean_images=["relu_out"])
    assert found.tensors["input"].mean_image is None
    image = found.tensors["relu_out"].mean_image
    assert image is not None
    np.testing.assert_allclose(image, _activation(model, images).mean(axis=0), atol=1e-5)


@settings(max_examples=12, deadline=None)
@given(st.lists(st.integers(1, 17), min_size=1, max_size=4))
def test_the_cut_into_batches_changes_nothing(sizes: list[int]) -> None:
    model, images = _network(), _images()
    whole = collect(model, [images], tensors=TENSORS, keep=8)
    cut = collect(model, _cut(images, sizes), tensors=TENSORS, keep=8)
    for name in TENSORS:
        assert cut.tensors[name].histogram == whole.tensors[name].histogram
        np.testing.assert_array_equal(cut.tensors[name].mean, whole.tensors[name].mean)
    np.testing.assert_array_equal(cut.images, whole.images)
    assert cut.history == whole.history


def test_runs_end_at_every_power_of_two() -> None:
    graph = Graph(_network())
    sizes = [len(part) for part in runs(_cut(_images(37), [5]), graph, 4)]
    ends = set(np.cumsum(sizes).tolist())
    assert {1, 2, 4, 8, 16, 32, 37} <= ends
    assert max(sizes) <= 4


def test_kept_images_are_a_sample_of_all_that_the_seed_decides() -> None:
    model, images = _network(), _images()
    images[:, 0, 0, 0] = np.arange(len(images))

    def kept(seed: int) -> list[int]:
        found = collect(model, [images], tensors=TENSORS, keep=10, seed=seed)
        return [int(image[0, 0, 0]) for image in found.images]

    assert kept(0) == kept(0) != kept(1)
    assert len(set(kept(0))) == 10
    assert collect(model, [images], tensors=TENSORS).images.size == 0
    often = np.bincount(np.concatenate([kept(seed) for seed in range(40)]), minlength=40)
    assert often.max() < 24, "an image that every sample holds is no sample"


def test_history_holds_the_ranges_at_every_doubling() -> None:
    model, images = _network(), _images()
    found = collect(model, [images], tensors=TENSORS)
    assert sorted(found.history) == [16, 32, 40]
    first = collect(model, [images[:16]], tensors=TENSORS)
    assert found.history[16] == first.history[16]


def _with_history(history: dict[int, dict[str, float]]) -> Statistics:
    watch = InputWatch()
    watch.add(np.zeros((1, 1, 2, 2), np.float32), np.zeros((1, 2), np.float32))
    return Statistics(max(history), {}, np.empty(0, np.float32), history, watch.summary())


def test_ranges_are_stable_from_where_none_moves_any_more() -> None:
    history = {16: {"a": 1.0}, 32: {"a": 1.95}, 64: {"a": 2.05}, 128: {"a": 2.0}}
    assert unstable(_with_history(history)) == (32, {})


def test_what_moved_over_the_last_half_is_named() -> None:
    history = {16: {"a": 1.0, "b": 1.0}, 32: {"a": 1.0, "b": 1.0}, 64: {"a": 1.05, "b": 4.0}}
    stable, moved = unstable(_with_history(history))
    assert stable == 64
    assert moved == {"b": pytest.approx(0.75)}


def test_a_tensor_that_is_always_zero_is_stable() -> None:
    history = {16: {"a": 0.0}, 32: {"a": 0.0}}
    assert unstable(_with_history(history)) == (16, {})


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_an_image_that_is_not_finite_is_an_error(bad: float) -> None:
    images = _images(8)
    images[5, 1, 2, 3] = bad
    with pytest.raises(CalibrationError, match=r"'input' holds NaN or infinite"):
        collect(_network(), [images], tensors=TENSORS)


@pytest.mark.parametrize(
    "batch",
    [
        np.zeros((2, 3, 12, 12), np.float64),
        np.zeros((2, 1, 12, 12), np.float32),
        np.zeros((2, 3, 10, 12), np.float32),
        np.zeros((3, 12, 12), np.float32),
    ],
    ids=["float64", "channels", "size", "rank"],
)
def test_a_batch_that_the_model_does_not_read_is_an_error(batch: NDArray[np.float32]) -> None:
    with pytest.raises(CalibrationError, match="A calibration batch is"):
        collect(_network(), [batch], tensors=TENSORS)


def test_progress_counts_images() -> None:
    seen: list[int] = []
    collect(_network(), [_images(10)], tensors=TENSORS, progress=seen.append)
    assert seen[-1] == 10
    assert seen == sorted(seen)
