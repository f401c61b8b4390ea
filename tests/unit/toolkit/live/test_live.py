from __future__ import annotations

import itertools
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from tests.unit.toolkit.live.live_parts import (
    AnsweringSession,
    ScriptedCamera,
    contract,
    frame,
    preparing,
    timed_session,
)
from toolkit.camera import open_camera
from toolkit.camera.frame import Frame, Status
from toolkit.clock import MONOTONIC, VirtualClock
from toolkit.errors import CameraError, InputError, ModelError
from toolkit.live import run_live
from toolkit.progress import Progress
from toolkit.results import Result


class Kept:
    """A sink that keeps what it is given."""

    lost = 0

    def __init__(self) -> None:
        self.results: list[Result] = []

    def put(self, result: Result) -> None:
        self.results.append(result)


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


def test_the_engine_sees_the_contracts_preprocessing_of_the_bgr_frame() -> None:
    clock = VirtualClock()
    session = AnsweringSession()
    picture = np.random.default_rng(0).integers(0, 256, (30, 40, 3), dtype=np.uint8)
    camera = ScriptedCamera(iter([Frame(picture, 0, 0.0, "driver")]))
    run_live(session, camera, warmup=0, clock=clock)
    expected = contract().preprocess(np.ascontiguousarray(picture[..., ::-1]))
    np.testing.assert_array_equal(session.batches[0], expected[None])


def test_a_stop_ends_the_run_with_its_summary() -> None:
    stop = threading.Event()

    def script() -> Iterator[Frame]:
        for index in itertools.count():
            if index == 20:
                stop.set()
            yield frame(index, MONOTONIC())

    summary = run_live(
        timed_session(MONOTONIC), ScriptedCamera(script()), stop=stop, policy="queue"
    )
    assert summary.ended == "stopped"
    assert 15 <= summary.frames <= 20


def test_a_stop_is_noticed_while_no_frame_comes() -> None:
    stop = threading.Event()

    class StopsLater(Kept):
        def put(self, result: Result) -> None:
            threading.Timer(0.05, stop.set).start()

    began = time.monotonic()
    with open_camera("synthetic://8x8@0.01") as camera:
        summary = run_live(timed_session(MONOTONIC), camera, stop=stop, sinks=[StopsLater()])
    assert time.monotonic() - began < 5.0
    assert summary.frames == 1  # the next would come after 100 seconds


def test_stopped_before_the_first_frame_is_a_summary_without_figures() -> None:
    stop = threading.Event()
    stop.set()
    with open_camera("synthetic://8x8@30") as camera:
        summary = run_live(timed_session(MONOTONIC), camera, stop=stop)
    values = summary.to_dict()
    assert values["frames"] == 0
    assert values["fps"] is None
    assert summary.lines() == ["no frame was answered (latest; stopped)"]
    assert values["capture_to_result_ms"] == {"p50": None, "p95": None, "p99": None}


def test_ctrl_c_ends_the_threads_and_passes_on() -> None:
    def script() -> Iterator[Frame]:
        for index in itertools.count():
            yield frame(index, MONOTONIC())

    class Interrupted(Kept):
        def put(self, result: Result) -> None:
            raise KeyboardInterrupt

    before = threading.active_count()
    for policy in ("latest", "queue"):
        with pytest.raises(KeyboardInterrupt):
            run_live(
                timed_session(MONOTONIC), ScriptedCamera(script()), sinks=[Interrupted()],
                policy=policy,
            )  # fmt: skip
    assert threading.active_count() == before


@pytest.mark.parametrize("policy", ["latest", "queue"])
@pytest.mark.parametrize(
    "status", [Status.END, Status.CUT_OFF, Status.UNPLUGGED], ids=lambda status: status.name
)
def test_the_summary_says_why_the_camera_ended(policy: str, status: Status) -> None:
    clock = VirtualClock()
    camera = ScriptedCamera(iter([frame(0, 0.0), status]))
    summary = run_live(timed_session(clock), camera, clock=clock, policy=policy)
    assert summary.ended == status.value
    assert summary.frames == 1


def test_a_camera_without_any_frame_is_an_error_that_says_why() -> None:
    clock = VirtualClock()
    with pytest.raises(CameraError, match=r"scripted:// gave no frame.*camera unplugged"):
        run_live(timed_session(clock), ScriptedCamera(iter([Status.UNPLUGGED])), clock=clock)


def test_a_camera_that_falls_silent_ends_the_run() -> None:
    clock = VirtualClock()
    with open_camera("synthetic://8x8@0.02", clock=clock) as camera:
        summary = run_live(timed_session(clock), camera, clock=clock, silence_s=3.0)
    assert summary.ended == "no frame for 3 s"
    assert summary.frames == 1
    assert clock() < 3.5


def test_damaged_frames_are_counted_and_passed_over() -> None:
    clock = VirtualClock()
    script: list[Frame | Status] = [frame(0, 0.0), Status.DAMAGED, Status.DAMAGED, frame(3, 0.0)]
    summary = run_live(
        timed_session(clock), ScriptedCamera(iter(script)), clock=clock, policy="queue"
    )
    assert (summary.frames, summary.damaged) == (2, 2)
    assert "2 frames could not be decoded" in summary.lines()


@pytest.mark.parametrize("policy", ["latest", "queue"])
def test_an_error_of_the_camera_reaches_the_caller(policy: str) -> None:
    clock = VirtualClock()
    broken = CameraError("The lens fell off.", next_command="ls /dev/video0")
    camera = ScriptedCamera(iter([frame(0, 0.0), broken]))
    with pytest.raises(CameraError, match="lens fell off"):
        run_live(timed_session(clock), camera, clock=clock, policy=policy)


def test_an_error_of_the_preprocessing_thread_reaches_the_caller() -> None:
    clock = VirtualClock()

    def prepare(image: object) -> np.ndarray[tuple[int, ...], np.dtype[np.float32]]:
        raise MemoryError

    camera = ScriptedCamera(iter([frame(0, 0.0)]))
    with pytest.raises(MemoryError):
        run_live(
            timed_session(clock), camera, clock=clock, policy="queue", warmup=0, prepare=prepare
        )


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


def test_a_resolution_change_in_mid_stream_is_no_event() -> None:
    clock = VirtualClock()
    sizes = [(480, 640), (1, 1), (720, 1280), (33, 17)]
    script = [
        Frame(np.zeros((*size, 3), np.uint8), i, 0.0, "driver") for i, size in enumerate(sizes)
    ]
    session = AnsweringSession()
    run_live(session, ScriptedCamera(iter(script)), clock=clock, policy="queue", warmup=0)
    assert [batch.shape for batch in session.batches] == [(1, 3, 8, 8)] * 4


def test_an_8k_frame_is_prepared_like_any_other() -> None:
    clock = VirtualClock()
    session = AnsweringSession()
    picture = np.full((4320, 7680, 3), (10, 20, 30), np.uint8)
    run_live(session, ScriptedCamera(iter([Frame(picture, 0, 0.0, "read")])), clock=clock, warmup=0)
    np.testing.assert_allclose(session.batches[0][0, :, 0, 0] * 255, [30, 20, 10], rtol=1e-6)


def test_the_weakest_timestamp_origin_is_reported() -> None:
    clock = VirtualClock()
    script = [frame(0, 0.0, "exposure"), frame(1, 0.0, "arrival"), frame(2, 0.0, "driver")]
    summary = run_live(
        timed_session(clock), ScriptedCamera(iter(script)), clock=clock, policy="queue"
    )
    assert summary.timestamp_origin == "arrival"


@pytest.mark.parametrize("logits", [(np.nan, 1.0, 2.0), (np.inf, 1.0, 2.0)])
def test_answers_that_are_not_finite_are_an_error(logits: tuple[float, ...]) -> None:
    clock = VirtualClock()
    with (
        pytest.raises(ModelError, match="not finite"),
        open_camera("synthetic://8x8@30", clock=clock) as camera,
    ):
        run_live(AnsweringSession(logits=logits), camera, clock=clock)


def test_an_engine_with_other_classes_than_its_contract_is_an_error() -> None:
    clock = VirtualClock()
    with (
        pytest.raises(ModelError, match="names 3 classes"),
        open_camera("synthetic://8x8@30", clock=clock) as camera,
    ):
        run_live(AnsweringSession(logits=(1.0, 2.0)), camera, clock=clock)


def test_an_unknown_policy_is_refused() -> None:
    with pytest.raises(InputError, match=r"'newest'.*latest, queue"):
        run_live(timed_session(MONOTONIC), ScriptedCamera(iter([])), policy="newest")


def test_progress_is_told_a_few_times_a_second() -> None:
    clock = VirtualClock()
    told: list[Progress] = []
    with open_camera("synthetic://8x8@100", clock=clock) as camera:
        run_live(timed_session(clock), camera, frames=100, clock=clock, progress=told.append)
    assert 4 <= len(told) <= 7
    assert told[-1] == Progress("live", 100, 100, "100.0 fps")


def resident_mib() -> float:
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    return pages * 4096 / 2**20


def test_memory_is_flat_over_ten_thousand_frames() -> None:
    def run(frames: int) -> None:
        with open_camera("synthetic://64x48?seed=1", paced=False) as camera:
            session = timed_session(MONOTONIC)
            summary = run_live(session, camera, frames=frames, policy="queue")
        assert summary.frames == frames

    run(500)
    before = resident_mib()
    run(10_000)
    assert resident_mib() - before < 5.0
