from __future__ import annotations

import os
import sys
import threading

import pytest

from toolkit.clock import MONOTONIC
from toolkit.live.threads import Workers


def test_what_a_thread_raises_is_raised_where_it_is_asked_for() -> None:
    workers = Workers(MONOTONIC)
    ended = threading.Event()

    def fail() -> None:
        raise ValueError("lens cap on")

    workers.start(fail, "camera", at_end=ended.set)
    assert workers.join() == ""
    assert ended.is_set()
    with pytest.raises(ValueError, match="lens cap on"):
        workers.check()


def test_threads_that_end_well_raise_nothing() -> None:
    workers = Workers(MONOTONIC)
    workers.start(lambda: None, "camera", at_end=lambda: None)
    workers.join()
    workers.check()


def test_a_thread_that_hangs_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("toolkit.live.threads._JOIN_S", 0.01)
    workers, go_on = Workers(MONOTONIC), threading.Event()

    def hang() -> None:
        go_on.wait()

    workers.start(hang, "camera", at_end=lambda: None)
    assert workers.join() == "camera"
    go_on.set()


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux has a priority for each thread")
def test_only_yielding_threads_get_a_lower_priority() -> None:
    seen: list[int] = []

    def look() -> None:
        seen.append(os.getpriority(os.PRIO_PROCESS, threading.get_native_id()))

    for yielding in (False, True):
        workers = Workers(MONOTONIC, yielding=yielding)
        workers.start(look, "camera", at_end=lambda: None)
        workers.join()
    mine = os.getpriority(os.PRIO_PROCESS, threading.get_native_id())
    assert seen == [mine, min(mine + 5, 19)]
