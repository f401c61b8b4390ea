from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from toolkit.frame_input import input_from_bgr
from toolkit.preprocess import IMAGENET, Preprocess


def noise(height: int, width: int, seed: int = 0) -> NDArray[np.uint8]:
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)


def expected(preprocess: Preprocess, frame: NDArray[np.uint8]) -> NDArray[np.float32]:
    return preprocess(np.ascontiguousarray(frame[..., ::-1]))


@pytest.mark.parametrize(
    "size",
    [(1080, 1920), (480, 640), (640, 480), (224, 224), (256, 256), (1, 1), (3, 500), (333, 501)],
    ids=str,
)
def test_a_bgr_frame_gives_what_preprocess_gives_for_the_rgb_picture(size: tuple[int, int]) -> None:
    frame = noise(*size)
    np.testing.assert_array_equal(input_from_bgr(IMAGENET, frame), expected(IMAGENET, frame))


@given(
    height=st.integers(1, 400),
    width=st.integers(1, 400),
    crop=st.tuples(st.integers(1, 64), st.integers(1, 64)),
    resize=st.sampled_from(["shorter", "squash", "none"]),
    resize_size=st.integers(8, 96),
    interpolation=st.sampled_from(["nearest", "bilinear", "bicubic"]),
    antialias=st.booleans(),
    colour=st.sampled_from(["rgb", "bgr", "gray"]),
    seed=st.integers(0, 2**16),
)
@settings(max_examples=150, deadline=None)
def test_every_recipe_and_size_agrees_bit_for_bit(
    height: int,
    width: int,
    crop: tuple[int, int],
    resize: str,
    resize_size: int,
    interpolation: str,
    antialias: bool,
    colour: str,
    seed: int,
) -> None:
    channels = 1 if colour == "gray" else 3
    preprocess = Preprocess(
        *crop,
        resize=resize,
        resize_size=resize_size,
        interpolation=interpolation,
        antialias=antialias,
        colour=colour,
        mean=(0.4, 0.5, 0.6)[:channels],
        std=(0.2, 0.25, 0.3)[:channels],
    )
    frame = noise(height, width, seed)
    np.testing.assert_array_equal(input_from_bgr(preprocess, frame), expected(preprocess, frame))


def test_a_bgr_network_gets_its_channels_as_they_come() -> None:
    frame = np.full((20, 20, 3), (10, 20, 30), np.uint8)
    plain = replace(IMAGENET, height=8, width=8, resize_size=8, colour="bgr", scale=1.0)
    plain = replace(plain, mean=(0.0, 0.0, 0.0), std=(1.0, 1.0, 1.0))
    np.testing.assert_array_equal(input_from_bgr(plain, frame)[:, 0, 0], [10.0, 20.0, 30.0])


def test_the_frame_is_not_written_to() -> None:
    frame = noise(100, 120)
    before = frame.copy()
    input_from_bgr(IMAGENET, frame)
    np.testing.assert_array_equal(frame, before)
