"""`edgekit measure`: time one engine, or several in turns, and write down the conditions."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from uuid import uuid4

import numpy as np
from numpy.typing import NDArray

from targets import Conditions, read_conditions
from targets.conditions import advice
from targets.machine import Machine
from targets.power import EnergySource, find_energy_source
from toolkit.artifacts import digest_of_file
from toolkit.energy_windows import EnergyPlan, measure_energy
from toolkit.errors import InputError
from toolkit.latency import Latency
from toolkit.progress import Progress, ProgressCallback, silent
from toolkit.runtime import Session, open_session
from toolkit.runtime.session import PreparesInput, inference_of
from toolkit.sample_inputs import sample_inputs
from toolkit.shell import quoted
from toolkit.statistics import percentile, quantile_interval
from toolkit.turns import Plan, Timings, plan_turns, take_turns

__all__ = ["measure", "why_unstable"]

_WIDE = 0.05  # half of p50's interval, relative to p50: then p50 is not known to a few per cent
_DRIFT = 1.05  # how far the medians of first and last third of the run may lie apart
_PREPARED = 20  # how often the input is made ready to tell how long that takes
_BURSTS = 1.5  # p95 / p50 of a machine that something else uses


@dataclass(frozen=True)
class _Opened:
    path: Path
    session: Session
    inputs: NDArray[np.float32]
    cold_start_ms: float
    infer: Callable[[], NDArray[np.float32]]
    """One inference of `inputs`, made ready before where the engine has an input of its own."""


def measure(
    engines: Sequence[Path],
    *,
    threads: int = 0,
    samples: int = 1000,
    seconds: float = 60.0,
    warmup: int = 50,
    batch: int = 0,
    seed: int = 0,
    backend: str = "auto",
    layers: bool = False,
    energy: EnergyPlan | None = None,
    machine: Machine | None = None,
    progress: ProgressCallback = silent,
) -> tuple[Latency, ...]:
    """Return the latency of each engine; several are run in turns, so that drift hits all alike.

    Each gets at least `samples` timed inferences of `batch` images (0: as the engine wants, else
    one), or as many as fit into `seconds` per engine. `layers` times every kernel, too, in a run of
    its own afterwards, where ONNX Runtime runs the engine; so does `energy`, by the sensors of
    `machine` (this one), and notes why where none can be read. Raises InputError for a budget of
    nothing, an engine named twice or a batch the engine does not take, TargetError for a sensor
    that fails meanwhile, and what `open_session` raises.
    """
    _check(engines, samples=samples, seconds=seconds, warmup=warmup, batch=batch)
    plan = plan_turns(samples, contenders=len(engines))
    before = read_conditions()
    with ExitStack() as stack:
        opened = _open_all(
            engines,
            stack,
            partial(open_session, threads=threads, backend=backend),
            batch=batch,
            seed=seed,
            progress=progress,
        )
        timings = take_turns(
            [each.infer for each in opened],
            plan=plan,
            warmup=warmup,
            seconds=seconds,
            seed=seed,
            progress=progress,
        )
        after = read_conditions()
        run = uuid4().hex[:16]
        found = tuple(
            _latency(each, times, plan, run=run, threads=threads, before=before, after=after)
            for each, times in zip(opened, timings, strict=True)
        )
        if energy is not None:
            source = _energy_source(found, machine)
            found = _with_energy(found, opened, source, plan=energy, seed=seed, progress=progress)
        pairs = zip(found, opened, strict=True)
        return tuple(_with_layers(one, each) for one, each in pairs) if layers else found


def _check(
    engines: Sequence[Path], *, samples: int, seconds: float, warmup: int, batch: int
) -> None:
    again = "edgekit measure ENGINE --samples 1000"
    if not engines:
        raise InputError("There is no engine to measure.", next_command=again)
    twice = sorted({str(path) for path in engines if list(engines).count(path) > 1})
    if twice:
        raise InputError(
            f"{twice[0]} is named twice: its figures would be indistinguishable.",
            next_command=f"edgekit measure {' '.join(map(quoted, dict.fromkeys(engines)))}",
        )
    if samples < 1 or not seconds > 0.0 or warmup < 0 or batch < 0:
        raise InputError(
            f"Nothing can be measured with {samples} samples in {seconds:g} s after {warmup} "
            f"warm-up inferences of {batch} images.",
            next_command=again,
        )


def _open_all(
    engines: Sequence[Path],
    stack: ExitStack,
    open_engine: Callable[[Path], Session],
    *,
    batch: int,
    seed: int,
    progress: ProgressCallback,
) -> list[_Opened]:
    opened = []
    for done, path in enumerate(engines):
        progress(Progress("open engines", done, len(engines), note=path.name))
        with open_engine(path) as session:  # imports the libraries, which are no part of the start
            inputs = _inputs(session, batch=batch, seed=seed)
        start = time.perf_counter()
        session = stack.enter_context(open_engine(path))
        session.infer(inputs)
        cold_start_ms = (time.perf_counter() - start) * 1e3
        opened.append(_Opened(path, session, inputs, cold_start_ms, inference_of(session, inputs)))
    return opened


def _inputs(session: Session, *, batch: int, seed: int) -> NDArray[np.float32]:
    """Return generated pictures: how long a convolution takes does not depend on what it sees."""
    fixed = session.contract.input_shape[0]
    if fixed and batch not in (0, fixed):
        raise InputError(
            f"{session.engine_name} takes batches of {fixed} images, not of {batch}.",
            next_command=f"edgekit measure {quoted(session.engine_name)} --batch {fixed}",
        )
    return sample_inputs(session.contract.preprocess, fixed or batch or 1, seed=seed)


def _latency(
    opened: _Opened,
    timings: Timings,
    plan: Plan,
    *,
    run: str,
    threads: int,
    before: Conditions,
    after: Conditions,
) -> Latency:
    def milliseconds(times: Sequence[float]) -> tuple[float, ...]:
        return tuple(seconds * 1e3 for seconds in times)

    samples = milliseconds(timings.samples)
    session = opened.session
    return Latency(
        engine=str(opened.path),
        digest=digest_of_file(opened.path),
        backend=session.backend,
        precision=session.contract.precision,
        threads=threads,
        batch=len(opened.inputs),
        run=run,
        block=plan.block,
        samples_ms=samples,
        warmup_ms=milliseconds(timings.warmup),
        switch_ms=milliseconds(timings.switch),
        cold_start_ms=opened.cold_start_ms,
        bytes=opened.path.stat().st_size,
        conditions={**asdict(after), "before": asdict(before)},
        unstable=why_unstable(samples, before, after),
        notes=_notes(opened, timings, plan),
    )


def _with_energy(
    found: tuple[Latency, ...],
    opened: Sequence[_Opened],
    source: EnergySource | str,
    *,
    plan: EnergyPlan,
    seed: int,
    progress: ProgressCallback,
) -> tuple[Latency, ...]:
    if isinstance(source, str):
        said = f"energy unavailable: {source}"
        return tuple(
            replace(run, notes=(*run.notes, said), conditions={**run.conditions, "energy": said})
            for run in found
        )
    calls = [each.infer for each in opened]
    used = measure_energy(calls, source, plan=plan, seed=seed, progress=progress)
    stated = f"{source.name}, {source.covers}, {source.hz:g} readings/s"
    return tuple(
        replace(run, energy=one, conditions={**run.conditions, "energy": stated})
        for run, one in zip(found, used, strict=True)
    )


def _energy_source(runs: Sequence[Latency], machine: Machine | None) -> EnergySource | str:
    """Return the source that sees all of these runs, or why there is none."""
    on_gpu = {run.backend.startswith("tensorrt") for run in runs}
    sources = [find_energy_source(machine, on_gpu=kind) for kind in sorted(on_gpu)]
    missing = [source for source in sources if isinstance(source, str)]
    if missing:
        return "; ".join(dict.fromkeys(missing))
    if len({source.covers for source in sources if not isinstance(source, str)}) > 1:
        return "these engines run on GPU and CPU, which have sensors of their own: measure apart"
    return sources[0]


def _with_layers(found: Latency, opened: _Opened) -> Latency:
    if not found.backend.startswith("onnxruntime"):
        said = f"no layer times: the {found.backend} session offers none"
        return replace(found, notes=(*found.notes, said))
    from toolkit.runtime.onnxruntime_profile import kernel_times  # ONNX Runtime, where it runs

    times = kernel_times(opened.path, opened.inputs, threads=found.threads, backend=found.backend)
    return replace(found, layers=times)


def why_unstable(
    samples: Sequence[float], before: Conditions, after: Conditions
) -> tuple[str, ...]:
    """Return what speaks against these figures, each with its value, and at last what to do."""
    p50 = percentile(samples, 50)
    interval = quantile_interval(samples, 50)
    third = max(1, len(samples) // 3)
    early, late = (percentile(part, 50) for part in (samples[:third], samples[-third:]))
    reasons = []
    if not math.isfinite(interval.width):
        reasons.append(f"{len(samples)} samples are too few to say how sure p50 is")
    elif interval.width > 2.0 * _WIDE * p50:
        reasons.append(f"p50 lies anywhere from {interval.low:.2f} to {interval.high:.2f} ms")
    if max(early, late) > _DRIFT * min(early, late):
        reasons.append(f"p50 went from {early:.2f} to {late:.2f} ms during the run")
    if percentile(samples, 95) > _BURSTS * p50:
        reasons.append(f"one run in twenty takes {percentile(samples, 95) / p50:.1f} times p50")
    if _throttled(before, after):
        reasons.append("the machine held its clocks down")
    if not reasons:
        return ()
    what_to_do = advice(after) or "close other programs and measure again with more --samples"
    return (*reasons, f"unstable: {what_to_do}")


def _throttled(before: Conditions, after: Conditions) -> bool:
    more = (
        before.throttle_events is not None
        and after.throttle_events is not None
        and after.throttle_events > before.throttle_events
    )
    return more or any(
        (before.throttled, after.throttled, before.gpu_throttled, after.gpu_throttled)
    )


def _notes(opened: _Opened, timings: Timings, plan: Plan) -> tuple[str, ...]:
    notes = [opened.session.note] if opened.session.note else []
    notes += _input_note(opened.session, opened.inputs)
    wanted = plan.rounds * plan.block
    if len(timings.samples) < wanted:
        notes.append(
            f"time was up after {len(timings.samples)} of {wanted} runs: raise --seconds for more"
        )
    return tuple(notes)


def _input_note(session: Session, inputs: NDArray[np.float32]) -> list[str]:
    """Say what of the way from a picture to its answer was not timed, for engines of integers."""
    if not isinstance(session, PreparesInput) or session.prepare_input(inputs) is inputs:
        return []
    times = []
    for _ in range(_PREPARED):
        started_s = time.perf_counter()
        session.prepare_input(inputs)
        times.append(time.perf_counter() - started_s)
    return [
        f"its input was made ready apart: {percentile(times, 50) * 1e3:.2f} ms, with preprocessing"
    ]
