"""The kernel on a real GPU: its numbers against Preprocess, its time against a plain copy."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray

from tests.hardware.gpu import Kernel, open_kernel
from toolkit.preprocess import IMAGENET
from toolkit.runtime.cuda.frame_plan import BLOCK, plan_frame

pytestmark = pytest.mark.gpu


@pytest.fixture
def kernel() -> Iterator[Kernel]:
    with open_kernel() as opened:
        yield opened


def noise(height: int, width: int, seed: int = 0) -> NDArray[np.uint8]:
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)


def wanted(frame: NDArray[np.uint8]) -> NDArray[np.float32]:
    return IMAGENET(np.ascontiguousarray(frame[..., ::-1]))


@pytest.mark.parametrize(
    "size", [(1080, 1920), (333, 501), (501, 333), (224, 224), (7, 9), (2160, 3840)], ids=str
)
def test_the_gpu_gives_the_inputs_of_preprocess_bit_for_bit(
    kernel: Kernel, size: tuple[int, int]
) -> None:
    frame = noise(*size)
    plan = plan_frame(IMAGENET, size[1], size[0])
    got = kernel.run(plan, frame[None], np.float32)[0]
    np.testing.assert_array_equal(got, wanted(frame))


def test_half_precision_and_int8_are_the_rounded_floats(kernel: Kernel) -> None:
    frame = noise(333, 501)
    plan = plan_frame(IMAGENET, 501, 333)
    half = kernel.run(plan, frame[None], np.float16)[0]
    np.testing.assert_array_equal(half, wanted(frame).astype(np.float16))
    step = 0.02
    int8 = kernel.run(plan, frame[None], np.int8, step=step)[0]
    steps = np.clip(np.rint(wanted(frame) / np.float32(step)), -128, 127)
    np.testing.assert_array_equal(int8, steps.astype(np.int8))


def test_a_batch_in_one_launch_is_the_frames_one_by_one(kernel: Kernel) -> None:
    frames = np.stack([noise(361, 641, seed) for seed in range(5)])
    plan = plan_frame(IMAGENET, 641, 361)
    got = kernel.run(plan, frames, np.float32)
    np.testing.assert_array_equal(got, np.stack([wanted(frame) for frame in frames]))


@pytest.mark.parametrize("count", [1, 64])
def test_the_kernel_takes_at_most_twice_a_copy_of_the_bytes_it_reads(
    kernel: Kernel, count: int
) -> None:
    frames = np.stack([noise(1080, 1920)] * count)
    plan = plan_frame(replace(IMAGENET), 1920, 1080)
    function, _, parameters, kept = kernel.load(plan, frames, np.float32)
    grid = (*plan.grid[:2], count)
    read = plan.frame_bytes * count
    target = kernel.driver.mem_alloc(read)
    kernel_ms = kernel.milliseconds(
        lambda: function.prepared_async_call(grid, BLOCK, kernel.stream, parameters), times=200
    )
    copy_ms = kernel.milliseconds(
        lambda: kernel.driver.memcpy_dtod_async(target, kept[0], read, kernel.stream), times=200
    )
    print(f"{count} frames: kernel {kernel_ms:.4f} ms, copy of {read} bytes {copy_ms:.4f} ms")
    for allocation in (*kept, target):
        allocation.free()
    assert kernel_ms <= 2.0 * copy_ms
