"""What the summary of a run counts and times, and what it leaves out."""

from __future__ import annotations

import pytest

from tests.unit.toolkit.live.live_parts import (
    AnsweringSession,
    Kept,
    ScriptedCamera,
    frame,
    preparing,
    timed_session,
)
from toolkit.camera import open_camera
from toolkit.camera.frame import Frame, Status
from toolkit.clock import VirtualClock
from toolkit.live import run_live
from toolkit.progress import Progress


def test_the_stages_of_a_frame_add_up_to_capture_to_result() -> None:
    clock = VirtualClock()
    with open_camera("synthetic://8x8@30?jitter=9", clock=clock) as camera:
        summary = run_live(
            timed_session(clock, 0.02),
            camera,
            frames=40,
            policy="queue",
            clock=clock,
            warmup=0,
            prepare=preparing(clock, 0.002),
        )
    stages = [summary.samples.stage_ms(stage) for stage in summary.stages_ms]
    sums = [sum(row) for row in zip(*stages, strict=True)]
    assert sums == summary.samples.capture_to_result_ms()
    assert len(sums) == 40


def test_warm_up_runs_are_in_no_figure() -> None:
    clock = VirtualClock()
    session = AnsweringSession()
    with open_camera("synthetic://8x8@50", clock=clock) as camera:
        summary = run_live(session, camera, frames=4, warmup=7, clock=clock)
    assert len(session.batches) == 11
    assert summary.frames == len(summary.samples) == 4
    assert summary.warmup == 7


def test_damaged_frames_are_counted_and_passed_over() -> None:
    clock = VirtualClock()
    script: list[Frame | Status] = [frame(0, 0.0), Status.DAMAGED, Status.DAMAGED, frame(3, 0.0)]
    summary = run_live(
        timed_session(clock), ScriptedCamera(iter(script)), clock=clock, policy="queue"
    )
    assert (summary.frames, summary.damaged) == (2, 2)
    assert "2 frames could not be decoded" in summary.lines()


def test_a_clock_that_runs_backwards_is_counted_and_in_no_percentile() -> None:
    clock = VirtualClock(10.0)
    script = [frame(0, 9.0), frame(1, 11.0), frame(2, 9.5)]  # the second is from the future
    sink = Kept()
    summary = run_live(
        timed_session(clock),
        ScriptedCamera(iter(script)),
        clock=clock,
        policy="queue",
        sinks=[sink],
    )
    assert summary.frames == 3
    assert summary.clock_faults == 1
    assert sorted(summary.samples.frame_age_ms()) == pytest.approx([500.0, 1000.0])
    assert any("ran backwards" in line for line in summary.lines())
    assert sink.results[1].frame_age_ms == pytest.approx(-1000.0)  # raw, not hidden


def test_the_weakest_timestamp_origin_is_reported() -> None:
    clock = VirtualClock()
    script = [frame(0, 0.0, "exposure"), frame(1, 0.0, "arrival"), frame(2, 0.0, "driver")]
    summary = run_live(
        timed_session(clock), ScriptedCamera(iter(script)), clock=clock, policy="queue"
    )
    assert summary.timestamp_origin == "arrival"


def test_progress_is_told_a_few_times_a_second() -> None:
    clock = VirtualClock()
    told: list[Progress] = []
    with open_camera("synthetic://8x8@100", clock=clock) as camera:
        run_live(timed_session(clock), camera, frames=100, clock=clock, progress=told.append)
    assert 4 <= len(told) <= 7
    assert told[-1] == Progress("live", 100, 100, "100.0 fps")
