from __future__ import annotations

import numpy as np
import pytest

from tests.unit.toolkit.live.live_parts import AnsweringSession, Kept, ScriptedCamera, frame
from toolkit.camera.frame import ORIGINS
from toolkit.clock import VirtualClock
from toolkit.live import run_live
from toolkit.live.smoothing import Smoothing

SURE, UNSURE = np.array([9.0, 0.0, 0.0], np.float32), np.array([0.0, 0.1, 0.0], np.float32)


def test_one_frame_goes_through_as_it_is() -> None:
    smoothed = Smoothing(1).add(SURE, 5.0)
    assert smoothed.row is SURE
    assert (smoothed.over, smoothed.span_s) == (1, 0.0)


def test_the_mean_is_over_probabilities_of_the_last_frames() -> None:
    smoothing = Smoothing(3)
    rows = np.random.default_rng(0).normal(size=(50, 3)).astype(np.float32)
    for i, row in enumerate(rows):
        smoothed = smoothing.add(row, i * 0.1)
    powers = np.exp(rows[-3:])
    expected = (powers / powers.sum(axis=1, keepdims=True)).mean(axis=0)
    np.testing.assert_allclose(smoothed.row, expected, atol=1e-6)
    assert smoothed.over == 3
    assert smoothed.span_s == pytest.approx(0.2)


def test_one_odd_frame_does_not_change_a_smoothed_answer() -> None:
    smoothing = Smoothing(5)
    for i in range(4):
        smoothing.add(SURE, i)
    assert smoothing.add(UNSURE, 4.0).row.argmax() == 0


def test_values_that_are_not_finite_are_not_averaged() -> None:
    smoothing = Smoothing(4)
    smoothing.add(SURE, 0.0)
    assert np.isnan(smoothing.add(np.full(3, np.nan, np.float32), 1.0).row).all()
    assert np.isfinite(smoothing.add(SURE, 2.0).row).all()


def test_results_say_how_much_is_smoothed_and_keep_the_newest_frames_age() -> None:
    clock, sink = VirtualClock(100.0), Kept()
    camera = ScriptedCamera(frame(i, 99.0 + i / 10, ORIGINS[0]) for i in range(6))
    summary = run_live(
        AnsweringSession(),
        camera,
        policy="queue",
        warmup=0,
        smooth=4,
        min_confidence=0.7,
        sinks=[sink],
        clock=clock,
    )
    last = sink.results[-1]
    assert last.smoothed_over == 4
    assert last.smoothed_span_ms == pytest.approx(300.0)
    assert last.frame_age_ms == pytest.approx(500.0)
    assert [result.smoothed_over for result in sink.results] == [1, 2, 3, 4, 4, 4]
    assert all(result.uncertain for result in sink.results)  # 0.665 is the softmax of 0, 2, 1
    assert (summary.smooth, summary.uncertain) == (4, 6)
    assert "6 answers were uncertain (confidence below 0.7)" in "\n".join(summary.lines())
    assert "means over 4 frames" in "\n".join(summary.lines())


def test_an_answer_at_the_least_confidence_is_certain() -> None:
    sink = Kept()
    camera = ScriptedCamera(frame(i, 0.0) for i in range(2))
    run_live(
        AnsweringSession(logits=(0.25, 0.5, 0.25)),
        camera,
        policy="queue",
        warmup=0,
        min_confidence=0.5,
        sinks=[sink],
        clock=VirtualClock(),
    )
    assert not any(result.uncertain for result in sink.results)
