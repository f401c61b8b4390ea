from __future__ import annotations

import numpy as np
import pytest

from toolkit.camera import Frame, Status, open_camera
from toolkit.clock import VirtualClock
from toolkit.errors import CameraError


def frames(uri: str, n: int, *, paced: bool = True) -> tuple[list[Frame], list[float]]:
    clock = VirtualClock(50.0)
    got, at = [], []
    with open_camera(uri, paced=paced, clock=clock) as camera:
        for _ in range(n):
            frame = camera.read(1.0)
            assert isinstance(frame, Frame)
            got.append(frame)
            at.append(clock())
    return got, at


def test_frames_come_at_the_asked_rate_with_their_exposure_time() -> None:
    got, at = frames("synthetic://32x16@25", 4)
    assert [frame.captured_at_s for frame in got] == pytest.approx([50.0, 50.04, 50.08, 50.12])
    assert at == pytest.approx([50.0, 50.04, 50.08, 50.12])
    assert {frame.origin for frame in got} == {"exposure"}
    assert [frame.index for frame in got] == [0, 1, 2, 3]
    assert got[0].image.shape == (16, 32, 3)


def test_jitter_delays_the_delivery_and_not_the_exposure() -> None:
    got, at = frames("synthetic://8x8@25?jitter=30&seed=1", 200)
    exposed = np.array([frame.captured_at_s for frame in got])
    delays = np.array(at) - exposed
    np.testing.assert_allclose(np.diff(exposed), 0.04)
    assert 0.0 <= delays.min() < 0.003
    assert 0.027 < delays.max() <= 0.030 + 1e-9


def test_equal_seeds_give_equal_pictures() -> None:
    first, second = (frames("synthetic://24x16?seed=5", 3)[0] for _ in range(2))
    other, _ = frames("synthetic://24x16?seed=6", 3)
    for a, b, c in zip(first, second, other, strict=True):
        np.testing.assert_array_equal(a.image, b.image)
        assert (a.image != c.image).any()


def test_the_picture_moves() -> None:
    got, _ = frames("synthetic://64x48", 2)
    assert (got[0].image != got[1].image).any()


def test_the_first_frame_is_due_when_it_is_asked_for() -> None:
    clock = VirtualClock()
    with open_camera("synthetic://8x8@10", clock=clock) as camera:
        clock.sleep(5.0)  # the engine warms up
        frame = camera.read(1.0)
    assert isinstance(frame, Frame)
    assert frame.captured_at_s == 5.0


def test_without_a_rate_it_is_as_fast_as_it_is_read() -> None:
    _, at = frames("synthetic://8x8", 100, paced=False)
    assert at == [50.0] * 100


def test_without_a_rate_a_paced_camera_gives_thirty_frames_a_second() -> None:
    _, at = frames("synthetic://8x8", 31)
    assert at[-1] == pytest.approx(51.0)


def test_a_reader_that_comes_late_gets_one_old_frame_and_then_new_ones() -> None:
    clock = VirtualClock()
    with open_camera("synthetic://8x8@10", clock=clock) as camera:
        camera.read(1.0)
        clock.sleep(1.1)
        ages = []
        for _ in range(3):
            frame = camera.read(1.0)
            assert isinstance(frame, Frame)
            ages.append(clock() - frame.captured_at_s)
    assert ages == pytest.approx([1.0, 0.0, 0.0])


def test_it_ends_after_the_asked_number_of_frames() -> None:
    with open_camera("synthetic://8x8?frames=2", paced=False) as camera:
        assert [isinstance(camera.read(1.0), Frame) for _ in range(2)] == [True, True]
        assert camera.read(1.0) is Status.END


def test_a_read_that_waits_too_long_times_out_and_loses_nothing() -> None:
    clock = VirtualClock()
    with open_camera("synthetic://8x8@2", clock=clock) as camera:
        first = camera.read(0.1)
        assert camera.read(0.1) is Status.TIMED_OUT
        assert clock() == pytest.approx(0.1)
        second = camera.read(1.0)
    assert isinstance(first, Frame)
    assert isinstance(second, Frame)
    assert second.index == 1
    assert second.captured_at_s == pytest.approx(0.5)


@pytest.mark.parametrize(
    "target", ["", "640", "0x480", "640x0", "640x480@", "99999x99999", "8x8@2000", "-8x8", "axb"]
)
def test_an_impossible_size_is_refused(target: str) -> None:
    with pytest.raises(CameraError, match="is not WIDTHxHEIGHT"):
        open_camera(f"synthetic://{target}").__enter__()


@pytest.mark.parametrize("size", ["1x1", "7680x4320"])
def test_the_smallest_and_8k_pictures_are_given(size: str) -> None:
    width, height = map(int, size.split("x"))
    got, _ = frames(f"synthetic://{size}", 1)
    assert got[0].image.shape == (height, width, 3)
    assert got[0].image.flags.c_contiguous
