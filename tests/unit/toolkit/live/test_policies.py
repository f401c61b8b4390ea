"""Which frames each policy takes, drops and answers, under a virtual clock."""

from __future__ import annotations

import numpy as np
import pytest

from tests.unit.toolkit.live.live_parts import Kept, ScriptedCamera, preparing, timed_session
from toolkit.camera import open_camera
from toolkit.clock import MONOTONIC, VirtualClock
from toolkit.errors import InputError
from toolkit.live import run_live


def test_latest_drops_what_came_while_the_engine_was_busy() -> None:
    clock, sink = VirtualClock(), Kept()
    with open_camera("synthetic://8x8@100", clock=clock) as camera:
        summary = run_live(
            timed_session(clock, 0.024), camera, frames=5, clock=clock, sinks=[sink], warmup=0
        )
    # A frame every 10 ms, an answer every 24: the newest at 0, 24, 48, 72 and 96 ms.
    assert [result.index for result in sink.results] == [0, 2, 4, 7, 9]
    assert [result.frame_age_ms for result in sink.results] == pytest.approx([0, 4, 8, 2, 6])
    assert summary.dropped == 5
    assert summary.fps == pytest.approx(1000 / 24)


def test_latest_drops_nothing_when_the_engine_keeps_up() -> None:
    clock = VirtualClock()
    with open_camera("synthetic://8x8@100", clock=clock) as camera:
        summary = run_live(
            timed_session(clock, 0.006),
            camera,
            frames=50,
            clock=clock,
            warmup=0,
            prepare=preparing(clock, 0.001),
        )
    assert summary.dropped == 0
    assert summary.fps == pytest.approx(100.0)
    assert summary.capture_to_result_ms.p99 == pytest.approx(7.0)
    assert summary.stages_ms["preprocess"].p50 == pytest.approx(1.0)
    assert summary.stages_ms["infer"].p50 == pytest.approx(6.0)


def test_queue_answers_every_frame_and_prepares_the_next_while_the_engine_works() -> None:
    clock, sink = VirtualClock(), Kept()
    with open_camera("synthetic://8x8?frames=20", paced=False, clock=clock) as camera:
        summary = run_live(
            timed_session(clock, 0.010),
            camera,
            policy="queue",
            clock=clock,
            sinks=[sink],
            warmup=0,
            prepare=preparing(clock, 0.008),
        )
    assert [result.index for result in sink.results] == list(range(20))
    assert summary.dropped == 0
    assert summary.fps == pytest.approx(100.0)  # 10 ms a frame, not 18
    assert summary.ended == "end of stream"


def jittery_run(policy: str) -> tuple[list[int], list[float], int]:
    clock, sink = VirtualClock(1000.0), Kept()
    with open_camera("synthetic://8x8@30?jitter=25&seed=11", clock=clock) as camera:
        summary = run_live(
            timed_session(clock, 0.045),
            camera,
            frames=300,
            policy=policy,
            clock=clock,
            sinks=[sink],
            warmup=0,
            prepare=preparing(clock, 0.003),
        )
    ages = [result.frame_age_ms for result in sink.results]
    return [result.index for result in sink.results], ages, summary.dropped


def frames_when_only_the_newest_counts(
    arrivals: list[float], busy_s: float, n: int
) -> tuple[list[int], list[float]]:
    """Work out by hand, without threads, which frames the policy takes and when."""
    taken: list[int] = []
    starts: list[float] = []
    now, last = 0.0, -1
    for _ in range(n):
        waiting = [i for i, arrival in enumerate(arrivals) if i > last and arrival <= now]
        last = waiting[-1] if waiting else last + 1
        now = max(now, arrivals[last])
        taken.append(last)
        starts.append(now)
        now += busy_s
    return taken, starts


def test_latest_with_a_jittery_camera_takes_exactly_the_frames_worked_out_by_hand() -> None:
    random = np.random.default_rng(11)
    random.integers(0, 256, (9, 12, 3), dtype=np.uint8)  # the camera draws its pattern first
    arrivals = [i / 30 + random.uniform(0.0, 0.025) for i in range(600)]
    taken, starts = frames_when_only_the_newest_counts(arrivals, 0.048, 300)
    indices, ages, dropped = jittery_run("latest")
    assert indices == taken
    expected = [(start + 0.003 - i / 30) * 1e3 for i, start in zip(taken, starts, strict=True)]
    assert ages == pytest.approx(expected, abs=1e-6)
    assert dropped == taken[-1] + 1 - 300  # every frame was answered or dropped


def test_queue_with_a_jittery_camera_grows_old_and_drops_nothing() -> None:
    indices, ages, dropped = jittery_run("queue")
    assert indices == list(range(300))
    assert dropped == 0
    assert ages[-1] > 150.0  # what latest avoids: frames wait in the queue
    assert max(jittery_run("latest")[1]) < 1e3 / 30 + 25 + 3


@pytest.mark.parametrize("policy", ["latest", "queue"])
def test_two_runs_under_the_virtual_clock_are_equal(policy: str) -> None:
    assert jittery_run(policy) == jittery_run(policy)


def test_an_unknown_policy_is_refused() -> None:
    with pytest.raises(InputError, match=r"'newest'.*latest, queue"):
        run_live(timed_session(MONOTONIC), ScriptedCamera(iter([])), policy="newest")
