"""`edgekit live`: open the session, the camera and the sinks, and stop cleanly on a signal."""

from __future__ import annotations

import json
import signal
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import asdict
from pathlib import Path
from types import FrameType

from targets.conditions import one_line, read_conditions
from toolkit.atomic import check_writable, write_text
from toolkit.camera import open_camera
from toolkit.cli.outcome import Outcome
from toolkit.cli.signals import stop, stopping_signals
from toolkit.datasets.decode import cores
from toolkit.errors import InputError
from toolkit.live import run_live
from toolkit.live_summary import LiveSummary
from toolkit.progress import ProgressCallback
from toolkit.results import open_results
from toolkit.runtime import open_session

__all__ = ["run"]


def run(
    engine: Path,
    *,
    camera: str,
    frames: int,
    threads: int,
    policy: str,
    warmup: int,
    results: str,
    out: Path | None,
    as_json: bool,
    progress: ProgressCallback,
) -> Outcome:
    """Run the loop until the frames are done, the camera ends or a signal comes.

    `latest` opens the camera paced and lets idle threads sleep; `queue` takes recorded frames as
    fast as they are read and lets threads spin: the saturated regime. With `out`, the raw samples
    are kept too.
    """
    if results == "-" and as_json:
        raise InputError(
            "--results - and --json both write to standard output.",
            next_command="edgekit live ENGINE --camera URI --results results.jsonl --json",
        )
    if out is not None:
        check_writable(out)
    saturated = policy == "queue"
    # With every core in the engine, decoding and preprocessing have none left: half the throughput.
    threads = threads or max(1, cores() - 1)
    before = read_conditions()
    with ExitStack() as stack:
        session = stack.enter_context(open_session(engine, threads=threads, spin=saturated))
        opened = stack.enter_context(open_camera(camera, paced=not saturated))
        sinks = [stack.enter_context(open_results(results))] if results else []
        asked = stack.enter_context(_stop_on_signal())
        summary = run_live(
            session,
            opened,
            frames=frames,
            policy=policy,
            warmup=warmup,
            sinks=sinks,
            conditions={
                "engine": engine.name,
                "backend": session.backend,
                "note": session.note,
                "threads": threads,
                "before": asdict(before),
                "after": None,
            },
            stop=asked,
            progress=progress,
        )
    summary.conditions["after"] = asdict(read_conditions())
    if out is not None:
        write_text(out, json.dumps(summary.to_dict(raw=True), indent=1) + "\n")
    lost = sum(sink.lost for sink in sinks)
    return _outcome(
        summary, conditions=one_line(before), out=out, to_stderr=results == "-", lost=lost
    )


def _outcome(
    summary: LiveSummary, *, conditions: str, out: Path | None, to_stderr: bool, lost: int
) -> Outcome:
    first, *rest = summary.lines()
    details = [*rest, conditions]
    if lost:
        details.append(f"{lost} result lines were lost: their reader was too slow")
    if out is not None:
        details.append(f"raw samples: {out}")
    values = {**summary.to_dict(), "results_lost": lost}
    if to_stderr:  # standard output belongs to the result lines
        return Outcome("", values, details=(first, *details))
    return Outcome(first, values, details=tuple(details))


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
