"""`edgekit live`: open the session, the camera and the sinks, and stop cleanly on a signal."""

from __future__ import annotations

import json
import os
import signal
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from types import FrameType

from targets.conditions import one_line, read_conditions
from toolkit.atomic import check_writable, write_text
from toolkit.camera import Camera, open_camera
from toolkit.cli.live_options import LiveOptions
from toolkit.cli.outcome import Outcome
from toolkit.cli.signals import stop, stopping_signals
from toolkit.contract import Contract
from toolkit.errors import InputError
from toolkit.live import run_live
from toolkit.live.answers import View
from toolkit.live.service_notify import open_notifier
from toolkit.live.summary import LiveSummary
from toolkit.live.view import open_view
from toolkit.progress import ProgressCallback
from toolkit.recording import read_recording
from toolkit.recording.drift import Drift, EngineRun, drift_of_session
from toolkit.recording.recorder import Recorder, open_recorder
from toolkit.recording.replay_comparison import KeptAnswers, compared
from toolkit.results import ResultSink, open_results
from toolkit.runtime import Session, open_session

__all__ = ["run"]


def run(engines: Sequence[Path], options: LiveOptions, *, progress: ProgressCallback) -> Outcome:
    """Run the loop until the frames are done, the camera ends or a signal comes.

    `latest` opens the camera paced and lets idle threads sleep; `queue` takes recorded frames as
    fast as they are read and lets threads spin: the saturated regime. Several engines get the same
    recording, one after the other, and are compared.
    """
    options.check(engines)
    if options.out is not None:
        check_writable(options.out)
    with _stop_on_signal() as asked:
        if len(engines) > 1:
            return _compare(engines, options, asked, progress)
        return _run_alone(engines[0], options, asked, progress)


@dataclass(frozen=True)
class _Ran:
    """What one engine did, and on which machine, in one line."""

    engine: Path
    contract: Contract
    summary: LiveSummary
    machine: str
    answers: KeptAnswers

    def to_drift(self) -> EngineRun:
        """Return what the drift note reads."""
        smoothed = self.summary.smooth > 1
        given = self.answers.by_frame
        kept = [] if smoothed else [given[index].confidence for index in sorted(given)]
        return EngineRun(str(self.engine), self.contract, kept)


def _run_alone(
    engine: Path, options: LiveOptions, asked: threading.Event, progress: ProgressCallback
) -> Outcome:
    with ExitStack() as stack:
        session, camera = stack.enter_context(_opened(engine, options))
        sinks = [stack.enter_context(open_results(options.results))] if options.results else []
        recorder = _recorder(stack, camera, options)
        watched = recorder.watch(camera) if recorder else camera
        taking = [*sinks, recorder] if recorder else sinks
        views = _views(stack, engine, session, camera, options)
        ran = _ran(engine, session, watched, taking, options, asked, progress, views)
    drift = _drift([ran], options)
    if options.out is not None:  # raw samples, for `report`
        write_text(options.out, json.dumps(ran.summary.to_dict(raw=True), indent=1) + "\n")
    lost = sum(sink.lost for sink in sinks)
    return _outcome(ran, options, lost=lost, recorder=recorder, drift=drift)


def _outcome(
    ran: _Ran, options: LiveOptions, *, lost: int, recorder: Recorder | None, drift: Drift | None
) -> Outcome:
    values = {**ran.summary.to_dict(), "results_lost": lost}
    first, *rest = ran.summary.lines()
    details = [*rest, ran.machine]
    if lost:
        details.append(f"{lost} result lines were lost: their reader was too slow, or gone")
    if recorder is not None:
        values["recording"] = recorder.to_dict()
        details.append(recorder.line())
    if drift is not None:
        values["drift"] = drift.to_dict()
        details.append(drift.line())
    if options.out is not None:
        details.append(f"raw samples: {options.out}")
    if options.results == "-":  # standard output belongs to the result lines
        return Outcome("", values, details=(first, *details))
    return Outcome(first, values, details=tuple(details))


def _compare(
    engines: Sequence[Path],
    options: LiveOptions,
    asked: threading.Event,
    progress: ProgressCallback,
) -> Outcome:
    runs = []
    for engine in engines:
        with _opened(engine, options) as (session, camera):
            runs.append(_ran(engine, session, camera, [], options, asked, progress))
        if asked.is_set():
            raise InputError(
                f"Stopped after {len(runs)} of {len(engines)} engines: nothing was compared.",
                next_command="edgekit live A B --camera replay://DIR --frames 300",
            )
    drift = _drift(runs, options)
    answers = [(str(ran.engine), ran.summary, ran.answers.by_frame) for ran in runs]
    comparison = compared(read_recording(options.recording()), answers, camera=options.camera)
    values = {**comparison.to_dict(), **({"drift": drift.to_dict()} if drift else {})}
    if options.out is not None:
        write_text(options.out, json.dumps(values, indent=1) + "\n")
    first, *details = comparison.lines()
    details += [*([drift.line()] if drift else []), runs[0].machine]
    return Outcome(first, values, details=tuple(details))


@contextmanager
def _opened(engine: Path, options: LiveOptions) -> Iterator[tuple[Session, Camera]]:
    with (
        open_session(engine, threads=options.threads, spin=options.saturated) as session,
        open_camera(options.camera, paced=not options.saturated) as camera,
    ):
        yield session, camera


def _recorder(stack: ExitStack, camera: Camera, options: LiveOptions) -> Recorder | None:
    if options.record is None:
        return None
    return stack.enter_context(
        open_recorder(options.record, mib=options.record_mib, camera=camera.uri)
    )


def _views(
    stack: ExitStack, engine: Path, session: Session, camera: Camera, options: LiveOptions
) -> list[View]:
    views: list[View] = []
    if listening := os.environ.get("NOTIFY_SOCKET"):  # systemd started this run
        views.append(stack.enter_context(open_notifier(listening)))
    if not options.view:
        return views
    view, url = stack.enter_context(
        open_view(
            options.view,
            engine=engine.name,
            camera=camera.uri,
            address=options.view_address,
            preprocess=session.contract.preprocess,
        )
    )
    if url:  # now, not in the outcome: it is needed while the run goes on
        print(f"live view: {url}", file=sys.stderr, flush=True)
    return [*views, view]


def _ran(
    engine: Path,
    session: Session,
    camera: Camera,
    sinks: Sequence[ResultSink],
    options: LiveOptions,
    asked: threading.Event,
    progress: ProgressCallback,
    views: Sequence[View] = (),
) -> _Ran:
    before = read_conditions()
    kept = KeptAnswers()
    summary = run_live(
        session,
        camera,
        frames=options.frames,
        policy=options.policy,
        warmup=options.warmup,
        smooth=options.smooth,
        min_confidence=options.min_confidence,
        # Other cameras run for days, and memory must not grow.
        sinks=[*sinks, kept] if options.replays else sinks,
        views=views,
        conditions={
            "engine": engine.name,
            "backend": session.backend,
            "note": session.note,
            "threads": options.threads,
            "before": asdict(before),
            "after": None,
        },
        stop=asked,
        progress=progress,
    )
    summary.conditions["after"] = asdict(read_conditions())
    return _Ran(engine, session.contract, summary, one_line(before), kept)


def _drift(runs: Sequence[_Ran], options: LiveOptions) -> Drift | None:
    if options.calibration is None:
        return None
    return drift_of_session(
        read_recording(options.recording()),
        [ran.to_drift() for ran in runs],
        options.calibration,
    )


@contextmanager
def _stop_on_signal() -> Iterator[threading.Event]:
    """Yield an event that Ctrl-C, SIGTERM or a closed terminal sets; a second one ends it."""
    asked = threading.Event()

    def ask(number: int, frame: FrameType | None) -> None:
        if asked.is_set():
            stop(number, frame)
        asked.set()

    previous = {number: signal.signal(number, ask) for number in stopping_signals()}
    try:
        yield asked
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)
