"""Frames of any size reach the engine as its contract says, and none stays in memory."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from tests.unit.toolkit.live.live_parts import (
    AnsweringSession,
    ScriptedCamera,
    contract,
    timed_session,
)
from toolkit.camera import open_camera
from toolkit.camera.frame import Frame
from toolkit.clock import MONOTONIC, VirtualClock
from toolkit.live import run_live


def test_the_engine_sees_the_contracts_preprocessing_of_the_bgr_frame() -> None:
    clock = VirtualClock()
    session = AnsweringSession()
    picture = np.random.default_rng(0).integers(0, 256, (30, 40, 3), dtype=np.uint8)
    camera = ScriptedCamera(iter([Frame(picture, 0, 0.0, "driver")]))
    run_live(session, camera, warmup=0, clock=clock)
    expected = contract().preprocess(np.ascontiguousarray(picture[..., ::-1]))
    np.testing.assert_array_equal(session.batches[0], expected[None])


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
