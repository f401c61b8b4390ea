"""preprocess.cu against `Preprocess`, with the g++ build of the same source."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from tests.doubles.host_kernel import HOST_COMPILER, host_library, run_on_host
from toolkit.preprocess import IMAGENET, Preprocess
from toolkit.runtime.cuda.frame_plan import PARAMETERS, plan_frame, why_not_fused

pytestmark = pytest.mark.skipif(HOST_COMPILER is None, reason="no g++ to build the kernel with")

SMALL = replace(IMAGENET, height=24, width=40, resize_size=48)


def noise(height: int, width: int, seed: int = 0) -> NDArray[np.uint8]:
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)


def wanted(preprocess: Preprocess, bgr: NDArray[np.uint8]) -> NDArray[np.float32]:
    return preprocess(np.ascontiguousarray(bgr[..., ::-1]))


@pytest.mark.parametrize(
    "size", [(1080, 1920), (333, 501), (501, 333), (224, 224), (7, 9), (225, 1001)], ids=str
)
def test_imagenet_inputs_are_those_of_preprocess_bit_for_bit(size: tuple[int, int]) -> None:
    frame = noise(*size)
    plan = plan_frame(IMAGENET, size[1], size[0])
    np.testing.assert_array_equal(run_on_host(plan, frame[None])[0], wanted(IMAGENET, frame))


@given(
    height=st.integers(1, 200),
    width=st.integers(1, 200),
    crop=st.tuples(st.integers(1, 40), st.integers(1, 70)),
    resize=st.sampled_from(["shorter", "squash", "none"]),
    resize_size=st.integers(1, 96),
    interpolation=st.sampled_from(["bilinear", "bicubic"]),
    colour=st.sampled_from(["rgb", "bgr"]),
    bgr=st.booleans(),
    seed=st.integers(0, 2**16),
)
@settings(max_examples=60, deadline=None)
def test_every_recipe_that_has_a_kernel_agrees_bit_for_bit(
    height: int,
    width: int,
    crop: tuple[int, int],
    resize: str,
    resize_size: int,
    interpolation: str,
    colour: str,
    bgr: bool,
    seed: int,
) -> None:
    preprocess = Preprocess(
        *crop,
        resize=resize,
        resize_size=resize_size,
        interpolation=interpolation,
        colour=colour,
        mean=(0.4, 0.5, 0.6),
        std=(0.2, 0.25, 0.3),
    )
    if why_not_fused(preprocess, width, height):
        return
    frame = noise(height, width, seed)
    plan = plan_frame(preprocess, width, height, bgr=bgr)
    expected = wanted(preprocess, frame) if bgr else preprocess(frame)
    np.testing.assert_array_equal(run_on_host(plan, frame[None])[0], expected)


def test_threads_may_run_in_any_order_between_two_barriers() -> None:
    frame = noise(700, 900)  # more source rows a tile than one chunk holds
    plan = plan_frame(SMALL, 900, 700)
    rising = run_on_host(plan, frame[None])
    falling = run_on_host(plan, frame[None], falling=True)
    np.testing.assert_array_equal(rising, falling)
    np.testing.assert_array_equal(rising[0], wanted(SMALL, frame))


def test_half_precision_is_the_rounded_float() -> None:
    frame = noise(101, 77)
    plan = plan_frame(SMALL, 77, 101)
    expected = wanted(SMALL, frame).astype(np.float16)
    np.testing.assert_array_equal(run_on_host(plan, frame[None], kind="float16")[0], expected)


def test_int8_is_rounded_half_to_even_and_saturated_as_quantizelinear_does() -> None:
    frame = noise(101, 77)
    step = 0.0125  # the largest inputs saturate
    plan = plan_frame(SMALL, 77, 101)
    expected = np.clip(np.rint(wanted(SMALL, frame) / np.float32(step)), -128, 127)
    got = run_on_host(plan, frame[None], kind="int8", step=step)[0]
    assert {-128, 127} & set(got.ravel().tolist())
    np.testing.assert_array_equal(got, expected.astype(np.int8))


def test_one_launch_prepares_a_batch_of_frames() -> None:
    frames = np.stack([noise(61, 83, seed) for seed in range(3)])  # odd rows: padded frame by frame
    plan = plan_frame(SMALL, 83, 61)
    got = run_on_host(plan, frames)
    np.testing.assert_array_equal(got, np.stack([wanted(SMALL, frame) for frame in frames]))


def test_the_host_rounds_to_half_as_numpy_does() -> None:
    values = np.random.default_rng(0).standard_normal(4000).astype(np.float32)
    values = np.concatenate([values * scale for scale in (1e-8, 1e-6, 1e-4, 1.0, 3e4, 1e6)])
    edges = np.array([0.0, -0.0, 65504.0, 65520.0, np.inf, 2.0**-24], np.float32)
    values = np.concatenate([values, edges])
    with np.errstate(over="ignore"):
        expected = values.astype(np.float16).view(np.uint16)
    half = host_library().edgekit_half
    assert [half(value) for value in values.tolist()] == expected.tolist()


def test_the_argument_has_the_size_that_the_source_asserts() -> None:
    assert PARAMETERS.itemsize == 112


@pytest.mark.parametrize(
    ("changes", "size", "reason"),
    [
        ({"colour": "gray", "mean": (0.5,), "std": (0.2,)}, (64, 64), "grey"),
        ({"interpolation": "nearest"}, (64, 64), "nearest"),
        ({"antialias": False}, (64, 64), "without antialias"),
        ({"resize": "none"}, (20, 20), "larger than a 20 x 20 frame"),
        ({}, (64, 64), ""),
    ],
)
def test_what_has_no_kernel_is_named(
    changes: dict[str, object], size: tuple[int, int], reason: str
) -> None:
    said = why_not_fused(replace(SMALL, **changes), *size)  # type: ignore[arg-type]
    assert reason in said
    assert bool(said) == bool(reason)
