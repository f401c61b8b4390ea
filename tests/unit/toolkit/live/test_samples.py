from __future__ import annotations

import pytest

from toolkit.live.samples import FrameTimes, Samples


def times(capture_s: float, infer_s: float = 0.010) -> FrameTimes:
    return FrameTimes(
        captured_s=capture_s,
        taken_s=capture_s + 0.001,
        prepared_s=capture_s + 0.003,
        started_s=capture_s + 0.003,
        inferred_s=capture_s + 0.003 + infer_s,
        done_s=capture_s + 0.004 + infer_s,
    )


def test_ages_are_counted_from_the_capture() -> None:
    assert times(5.0).frame_age_ms == pytest.approx(3.0)
    assert times(5.0).capture_to_result_ms == pytest.approx(14.0)


def test_the_newest_samples_are_kept_in_order_when_the_room_is_used_up() -> None:
    samples = Samples(capacity=4)
    for i in range(7):
        samples.add(times(float(i), infer_s=i / 1000))
    assert len(samples) == 4
    assert samples.stage_ms("infer") == pytest.approx([3.0, 4.0, 5.0, 6.0])


def test_fewer_samples_than_room_are_all_given() -> None:
    samples = Samples(capacity=100)
    samples.add(times(0.0))
    assert samples.capture_to_result_ms() == pytest.approx([14.0])


def test_a_frame_from_the_future_is_counted_apart() -> None:
    samples = Samples(capacity=4)
    samples.add(FrameTimes(2.0, 1.0, 1.1, 1.2, 1.3, 1.4))
    assert len(samples) == 0
    assert samples.clock_faults == 1
