"""The live loop: newest frame -> preprocess -> engine -> result, timed stage by stage."""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from typing import Any

import numpy as np

from toolkit.camera.frame import Camera
from toolkit.clock import MONOTONIC, Clock
from toolkit.errors import CameraError, InputError
from toolkit.live.answers import Answers, Inferred, View
from toolkit.live.feed import POLICIES, Feed
from toolkit.live.frame_steps import Answer, Prepare, frame_steps
from toolkit.live.summary import LiveSummary
from toolkit.progress import Progress, ProgressCallback, silent
from toolkit.results import ResultSink
from toolkit.runtime.session import Session
from toolkit.shell import quoted
from toolkit.top_k import top_guesses

__all__ = ["run_live"]

_KEPT_SAMPLES = 100_000
_STOP_SLICE_S = 0.1  # how long a stop can go unnoticed while no frame comes
_PROGRESS_S = 0.2


def run_live(
    session: Session,
    camera: Camera,
    *,
    frames: int = 0,
    policy: str = "latest",
    warmup: int = 10,
    top_k: int = 5,
    smooth: int = 1,
    min_confidence: float = 0.0,
    sinks: Sequence[ResultSink] = (),
    views: Sequence[View] = (),
    conditions: dict[str, Any] | None = None,
    stop: threading.Event | None = None,
    progress: ProgressCallback = silent,
    clock: Clock = MONOTONIC,
    prepare: Prepare | None = None,
    silence_s: float = 10.0,
) -> LiveSummary:
    """Run `frames` frames through the engine (0: until `stop` is set or the camera ends).

    `latest` drops frames that came while the engine was busy; `queue` takes every one and prepares
    the next while the engine works. The `warmup` runs come first, on a grey picture, and are in no
    figure. `prepare` replaces the contract's preprocessing of a BGR frame. With `smooth`, an answer
    is the mean of the probabilities of so many frames; one less sure than `min_confidence` is
    counted as uncertain.
    Raises CameraError when the camera ends or stays silent before its first frame, ModelError when
    the engine's answers are not finite, and what the camera or a sink raises.
    """
    if policy not in POLICIES:
        raise InputError(
            f"Unknown policy {policy!r}: it is one of {', '.join(POLICIES)}.",
            next_command="edgekit live ENGINE --camera URI --policy latest",
        )
    prepare, answer = frame_steps(session, prepare)
    stop = stop or threading.Event()
    picture = np.full((480, 640, 3), 127, np.uint8)
    for _ in range(warmup):
        top_guesses(answer(prepare(picture)).row, session.contract, top_k)
    answers = Answers(
        session.contract,
        policy=policy,
        clock=clock,
        top_k=top_k,
        smooth=smooth,
        min_confidence=min_confidence,
        sinks=sinks,
        views=views,
        capacity=min(frames or _KEPT_SAMPLES, _KEPT_SAMPLES),
    )
    cpu_s, wall_s = time.process_time(), time.monotonic()
    with (
        answers,
        Feed(camera, prepare, policy=policy, clock=clock, silence_s=silence_s) as feed,
    ):
        _loop(answer, feed, answers, frames, stop, progress, clock)
        dropped = feed.dropped
    answers.check()
    cpu_cores_used = (time.process_time() - cpu_s) / max(time.monotonic() - wall_s, 1e-9)
    if not answers.frames and not stop.is_set():
        raise CameraError(
            f"{camera.uri} gave no frame that could be used: {feed.ended}.",
            next_command=f"edgekit live ENGINE --camera {quoted(camera.uri)}",
        )
    progress(Progress("live", answers.frames, frames, f"{answers.fps:.1f} fps"))
    return LiveSummary(
        camera=camera.uri,
        policy=policy,
        ended="stopped" if stop.is_set() else feed.ended or "frame limit",
        dropped=dropped,
        damaged=feed.damaged,
        warmup=warmup,
        cpu_cores_used=cpu_cores_used,
        conditions=dict(conditions or {}),
        **answers.measured(),
    )


def _loop(
    answer: Answer,
    feed: Feed,
    answers: Answers,
    frames: int,
    stop: threading.Event,
    progress: ProgressCallback,
    clock: Clock,
) -> None:
    inferred, told_s = 0, clock()
    while not stop.is_set() and (not frames or inferred < frames):
        prepared = feed.next(_STOP_SLICE_S)
        if prepared is not None:
            started_s = clock()
            answered = answer(prepared.pixels)
            answers.give(Inferred(prepared, answered, started_s, clock()))
            inferred += 1
        elif feed.exhausted:
            return
        if clock() - told_s >= _PROGRESS_S:
            told_s = clock()
            progress(Progress("live", answers.frames, frames, f"{answers.fps:.1f} fps"))
