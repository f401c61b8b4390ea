"""How a run ends: stopped, interrupted, with its camera, or with an error of any thread."""

from __future__ import annotations

import itertools
import threading
import time
from collections.abc import Iterator

import numpy as np
import pytest

from tests.unit.toolkit.live.live_parts import (
    AnsweringSession,
    Kept,
    ScriptedCamera,
    frame,
    timed_session,
)
from toolkit.camera import open_camera
from toolkit.camera.frame import Frame, Status
from toolkit.clock import MONOTONIC, VirtualClock
from toolkit.errors import CameraError, ModelError
from toolkit.live import run_live
from toolkit.results import Result


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
