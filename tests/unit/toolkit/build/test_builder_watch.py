from __future__ import annotations

import os
import signal
from types import SimpleNamespace
from typing import Any

import pytest

from toolkit.build.builder_watch import BuildWatch
from toolkit.progress import Progress


class Logger:
    INTERNAL_ERROR, ERROR, WARNING, INFO, VERBOSE = range(5)

    def __init__(self) -> None:
        pass


class ProgressMonitor:
    def __init__(self) -> None:
        pass


OLD: Any = SimpleNamespace(ILogger=Logger)  # TensorRT 8.6
NEW: Any = SimpleNamespace(ILogger=Logger, IProgressMonitor=ProgressMonitor)


def test_phases_of_a_monitor_become_progress() -> None:
    told: list[Progress] = []
    watch = BuildWatch(NEW, told.append)
    assert watch.monitor is not None
    watch.monitor.phase_start("Building Engine", None, 3)
    assert watch.monitor.step_complete("Building Engine", 0)
    assert watch.monitor.step_complete("Building Engine", 1)
    watch.monitor.phase_finish("Building Engine")
    assert [(each.done, each.total, each.note) for each in told] == [
        (1, 3, "Building Engine"),
        (2, 3, "Building Engine"),
    ]


def test_a_builder_without_monitor_is_heard_through_its_log_not_more_often_than_needed() -> None:
    told: list[Progress] = []
    now = [0.0]
    watch = BuildWatch(OLD, told.append, clock=lambda: now[0])
    assert watch.monitor is None
    for seconds in (0.0, 0.1, 0.19, 0.25, 0.3, 0.5):
        now[0] = seconds
        watch.heard(Logger.VERBOSE, f"Tactic at {seconds}\n took 1 ms")
    assert [(each.done, each.total, each.note) for each in told] == [
        (1, 0, "Tactic at 0.0 took 1 ms"),
        (4, 0, "Tactic at 0.25 took 1 ms"),
        (6, 0, "Tactic at 0.5 took 1 ms"),
    ]


def test_warnings_and_errors_are_kept_apart() -> None:
    watch = BuildWatch(NEW, lambda _: None)
    watch.logger.log(Logger.WARNING, "before")
    with watch.listening():
        watch.logger.log(Logger.INFO, "a")
        watch.logger.log(Logger.WARNING, "b")
        watch.logger.log(Logger.ERROR, "c")
        watch.logger.log(Logger.INTERNAL_ERROR, "d")
    watch.logger.log(Logger.WARNING, "after")
    assert (watch.lines, watch.warnings, watch.errors) == (["a", "b", "c", "d"], ["b"], ["c", "d"])


def test_what_the_callback_raises_stops_the_builder_and_comes_out_afterwards() -> None:
    def full(_: Progress) -> None:
        raise OSError("no space")

    watch = BuildWatch(NEW, full)
    assert watch.monitor is not None
    with pytest.raises(OSError, match="no space"), watch.listening():
        assert not watch.monitor.step_complete("x", 0)


def test_ctrl_c_stops_the_builder_and_comes_out_afterwards() -> None:
    watch = BuildWatch(NEW, lambda _: None)
    assert watch.monitor is not None
    reached = []
    with pytest.raises(KeyboardInterrupt), watch.listening():
        os.kill(os.getpid(), signal.SIGINT)
        reached.append(watch.monitor.step_complete("x", 0))
    assert reached == [False]


def test_a_signal_that_was_ignored_stays_ignored() -> None:
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    watch = BuildWatch(NEW, lambda _: None)
    try:
        with watch.listening():
            os.kill(os.getpid(), signal.SIGHUP)
    finally:
        signal.signal(signal.SIGHUP, before)
    assert watch.goes_on


def test_after_ctrl_c_an_error_of_the_builder_is_an_interruption_all_the_same() -> None:
    watch = BuildWatch(NEW, lambda _: None)
    with pytest.raises(KeyboardInterrupt), watch.listening():
        os.kill(os.getpid(), signal.SIGINT)
        raise ValueError("the builder gave up")
