"""The true age of answers to a 30 fps RTSP stream, when the engine is slower than the stream.

    python -m benchmarks.rtsp_age --seconds 300 --out benchmarks/results/rtsp-age.json

A GStreamer RTSP server on this machine burns its monotonic time into every frame as bars. Our loop
and the read loop that everyone writes first (`cv2.VideoCapture(url)`; read; infer) take turns on
the same stream with the same engine. An answer's true age is its end minus the time in the picture.
The engine is a double that sleeps: its planted time is in the JSON. `--engine` takes a real one.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from benchmarks.rtsp_age_picture import age_curves
from benchmarks.time_bars import time_from_bars
from targets.conditions import advice, read_conditions
from toolkit.atomic import write_text
from toolkit.camera import Frame, open_camera
from toolkit.contract import Contract
from toolkit.frame_input import input_from_bgr
from toolkit.live import run_live
from toolkit.live.samples import FrameTimes
from toolkit.live.summary import spread_of
from toolkit.preprocess import IMAGENET
from toolkit.results import Result
from toolkit.runtime import Session, open_session
from toolkit.runtime.fake import FakeSession

__all__ = ["main"]

SERVER = Path(__file__).resolve().parents[1] / "tests" / "doubles" / "rtsp_server.py"
PICTURE = Path("docs") / "rtsp-age.svg"
FPS = 30
PLANTED_S = 0.05


@dataclass(frozen=True)
class Answer:
    """One answer: when it was ready, and how old it was then by the picture and by our clock."""

    at_s: float
    true_ms: float
    reported_ms: float | None
    frame_age_ms: float | None = None
    """By the picture, when inference began."""


class Truth:
    """A view that reads the bars of every answered frame."""

    def __init__(self) -> None:
        self.answers: list[Answer] = []
        self.unreadable = 0

    def show(self, frame: Frame, result: Result, times: FrameTimes) -> None:
        burned_s = time_from_bars(frame.image, times.done_s)
        if burned_s is None:
            self.unreadable += 1
            return
        self.answers.append(
            Answer(
                times.done_s,
                (times.done_s - burned_s) * 1e3,
                times.capture_to_result_ms,
                (times.started_s - burned_s) * 1e3,
            )
        )


@contextmanager
def serving() -> Iterator[str]:
    command = ["/usr/bin/python3", str(SERVER), "--size", "640x480", "--fps", str(FPS)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            port = process.stdout.readline().partition(" ")[2].strip()
            if not port:
                sys.exit("The RTSP server did not start: see .ci/run for the packages it needs.")
            yield f"rtsp://127.0.0.1:{port}/stream"
        finally:
            process.kill()


@contextmanager
def engine(path: Path | None) -> Iterator[Session]:
    if path is not None:
        with open_session(path, threads=1) as session:
            yield session
        return
    contract = Contract(
        input_name="input",
        input_shape=(1, 3, 224, 224),
        preprocess=IMAGENET,
        labels=("ant", "bee", "cat", "dog", "elk"),
        ids=("n1", "n2", "n3", "n4", "n5"),
        source="planted sleep",
    )
    yield FakeSession(contract, seconds=PLANTED_S)


def ours(url: str, session: Session, seconds: float) -> tuple[list[Answer], dict[str, Any]]:
    truth = Truth()
    with open_camera(url) as camera:
        frames = _frames(session, seconds)
        summary = run_live(session, camera, frames=frames, warmup=3, views=[truth])
    values = {**summary.to_dict(), "camera": "rtsp://127.0.0.1/stream"}
    return truth.answers, {**values, "unreadable": truth.unreadable}


def naive(url: str, session: Session, seconds: float) -> list[Answer]:
    answers: list[Answer] = []
    os.environ["OPENCV_FFMPEG_CAPTURE_OPTIONS"] = "rtsp_transport;tcp"  # else it would try UDP
    capture = cv2.VideoCapture(url)
    del os.environ["OPENCV_FFMPEG_CAPTURE_OPTIONS"]
    ends_s = time.monotonic() + seconds
    while time.monotonic() < ends_s:
        given, image = capture.read()
        if not given:
            break
        picture: NDArray[np.uint8] = np.asarray(image, dtype=np.uint8)
        session.infer(input_from_bgr(session.contract.preprocess, picture)[None])
        done_s = time.monotonic()
        burned_s = time_from_bars(picture, done_s)
        if burned_s is not None:
            answers.append(Answer(done_s, (done_s - burned_s) * 1e3, None))
    capture.release()
    return answers


def _frames(session: Session, seconds: float) -> int:
    """Return how many answers the engine gives in `seconds`, at most one a frame."""
    batch = np.zeros((1, *session.contract.input_shape[1:]), np.float32)
    infer_s = _median_s(lambda: session.infer(batch), 10)
    return int(seconds * min(1 / infer_s, FPS))


def _median_s(run: Callable[[], object], n: int) -> float:
    times = []
    for _ in range(n):
        began = time.monotonic()
        run()
        times.append(time.monotonic() - began)
    return float(np.median(times))


def figures(mine: list[Answer], theirs: list[Answer], summary: dict[str, Any]) -> dict[str, Any]:
    period_ms = 1e3 / FPS
    infer_ms = summary["stages_ms"]["infer"]["p50"]
    errors = [answer.true_ms - (answer.reported_ms or 0.0) for answer in mine]
    true_ms = spread_of([answer.true_ms for answer in mine])
    began_ms = spread_of([answer.frame_age_ms or 0.0 for answer in mine])
    return {
        "answers": len(mine),
        "true_age_at_result_ms": true_ms.to_dict(),
        "true_age_at_inference_ms": began_ms.to_dict(),
        "wanted_p99_ms": 2 * period_ms + infer_ms,
        "p99_at_result_reached": true_ms.p99 < 2 * period_ms + infer_ms,
        "p99_at_inference_reached": began_ms.p99 < 2 * period_ms + infer_ms,
        "true_less_reported_ms": {
            **spread_of(errors).to_dict(),
            "largest": max(map(abs, errors)),
            "share_within_one_period": float(np.mean(np.abs(errors) < period_ms)),
        },
        "naive_answers": len(theirs),
        "naive_true_age_ms": {
            **spread_of([answer.true_ms for answer in theirs]).to_dict(),
            "last": theirs[-1].true_ms,
        },
    }


def curve(answers: list[Answer]) -> list[tuple[float, float]]:
    began_s = answers[0].at_s
    return [(round(a.at_s - began_s, 3), round(a.true_ms, 2)) for a in answers]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--seconds", type=float, default=300.0, help="of each of the two loops")
    parser.add_argument("--engine", type=Path, help="instead of the planted sleep")
    parser.add_argument("--out", type=Path, default=Path("benchmarks/results/rtsp-age.json"))
    parser.add_argument("--picture", type=Path, default=PICTURE)
    arguments = parser.parse_args()
    before = read_conditions()
    with serving() as url, engine(arguments.engine) as session:
        mine, summary = ours(url, session, arguments.seconds)
        theirs = naive(url, session, arguments.seconds)
    values = {
        "seconds": arguments.seconds,
        "fps": FPS,
        "engine": arguments.engine.name if arguments.engine else "planted sleep",
        "planted_sleep_ms": None if arguments.engine else PLANTED_S * 1e3,
        "opencv": cv2.__version__,
        **figures(mine, theirs, summary),
        "curves_s_ms": {"edgekit": curve(mine), "naive": curve(theirs)},
        "summary": summary,
        "conditions": {"before": asdict(before), "after": asdict(read_conditions())},
        "advice": advice(before),
    }
    write_text(arguments.out, json.dumps(values, indent=1) + "\n")
    write_text(arguments.picture, age_curves(curve(mine), curve(theirs)))
    for line in report(values):
        print(line)


def report(values: dict[str, Any]) -> Iterator[str]:
    error = values["true_less_reported_ms"]
    for when in ("result", "inference"):
        age = values[f"true_age_at_{when}_ms"]
        yield (
            f"true age at {when}: p50 {age['p50']:.1f} ms, p99 {age['p99']:.1f} ms "
            f"({values['answers']} answers; wanted p99 < {values['wanted_p99_ms']:.1f} ms)"
        )
    yield (
        f"true - reported age: p50 {error['p50']:+.1f} ms, largest {error['largest']:.1f} ms, "
        f"{error['share_within_one_period']:.1%} within one frame period"
    )
    loop = values["naive_true_age_ms"]
    yield f"naive read loop: p50 {loop['p50']:.0f} ms, at the end {loop['last']:.0f} ms"
    if values["advice"]:
        yield f"not a calm machine: {values['advice']}"


if __name__ == "__main__":
    main()
