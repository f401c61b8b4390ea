from __future__ import annotations

import numpy as np
import pytest

from toolkit.camera.frame import Frame, Status
from toolkit.camera.newest import NewestCamera, next_pause_s
from toolkit.clock import MONOTONIC, VirtualClock
from toolkit.errors import CameraError


def frame(index: int) -> Frame:
    return Frame(np.zeros((1, 1, 3), np.uint8), index, 0.0, "arrival")


def test_a_late_reader_gets_the_newest_and_then_the_reason_of_the_end() -> None:
    clock = VirtualClock()

    def receive(camera: NewestCamera) -> Status:
        for index in range(5):
            camera.offer(frame(index))
            clock.sleep(0.1)
        return Status.UNPLUGGED

    camera = NewestCamera("test://", receive, clock, "test")
    clock.sleep(0.25)
    indices = []
    while isinstance(got := camera.read(1.0), Frame):
        indices.append(got.index)
    assert indices == [2, 3, 4]
    assert got is Status.UNPLUGGED


def test_a_source_that_waits_loses_nothing() -> None:
    clock = VirtualClock()

    def receive(camera: NewestCamera) -> Status:
        for index in range(5):
            camera.offer(frame(index), wait=True)
        return Status.END

    camera = NewestCamera("test://", receive, clock, "test")
    clock.sleep(1.0)
    assert [getattr(camera.read(1.0), "index", None) for _ in range(6)] == [0, 1, 2, 3, 4, None]


def test_what_the_thread_raises_the_reader_gets() -> None:
    def receive(camera: NewestCamera) -> Status:
        raise CameraError("It broke.", next_command="ls")

    camera = NewestCamera("test://", receive, MONOTONIC, "test")
    with pytest.raises(CameraError, match="It broke"):
        camera.await_first(5.0)
    with pytest.raises(CameraError, match="It broke"):
        camera.read(5.0)


def test_closing_frees_a_source_that_waits() -> None:
    def receive(camera: NewestCamera) -> Status:
        while not camera.stop.is_set():
            camera.offer(frame(0), wait=True)
        return Status.END

    camera = NewestCamera("test://", receive, MONOTONIC, "test")
    assert camera.await_first(5.0)
    camera.close()
    assert isinstance(camera.read(0.0), Frame)
    assert camera.read(1.0) is Status.END


def test_pauses_double_up_to_eight_seconds() -> None:
    pauses = [0.0]
    for _ in range(8):
        pauses.append(next_pause_s(pauses[-1]))
    assert pauses == [0.0, 0.25, 0.5, 1.0, 2.0, 4.0, 8.0, 8.0, 8.0]
