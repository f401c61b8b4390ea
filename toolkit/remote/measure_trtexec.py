"""Time engines with the trtexec of a device, in turns, into the usual record."""

from __future__ import annotations

import json
import math
import random
import signal
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, replace
from shlex import quote
from typing import Any
from uuid import uuid4

from targets import Conditions
from toolkit.artifacts import Engine
from toolkit.errors import ForeignEngineError, RemoteError
from toolkit.latency import Latency
from toolkit.measure import why_unstable
from toolkit.progress import Progress, ProgressCallback
from toolkit.remote.connection import Connection, ask
from toolkit.remote.link import Link
from toolkit.remote.machine import conditions_of, open_machine
from toolkit.remote.neighbours import disturbances, meet_neighbours
from toolkit.remote.preflight import Device, inspect_device
from toolkit.remote.run_folder import is_given_up, remove_folder
from toolkit.remote.store import keep_there
from toolkit.remote.timing import WARMUP_MS, TimedRun, sensors_of, time_once, timing_flags
from toolkit.remote.timing_options import TimingOptions
from toolkit.remote.trtexec import LayerTime, kernels_from_layers, layers_from_profile
from toolkit.shell import quoted
from toolkit.stop_signals import signals_to

__all__ = ["measure_with_trtexec"]

_ROUNDS = 8
"""How often the engines take turns. Each costs a start of trtexec, seconds on a small board."""
_PROBES = 10
_START_S = 180.0  # loading libraries and a large engine from an SD card
_SHOWN = 10
_COVERS = (
    "trtexec times copying in, computing and copying out of one inference; preprocessing is not "
    "part of it"
)


@dataclass
class _Timed:
    """One engine on the device, and its runs so far."""

    engine: Engine
    remote: str
    probe: TimedRun
    layers: tuple[LayerTime, ...]
    batch: int
    runs: list[TimedRun] = field(default_factory=list)


def measure_with_trtexec(
    link: Link,
    engines: Sequence[Engine],
    options: TimingOptions,
    *,
    run: str,
    why: str,
    progress: ProgressCallback,
    root: str,
) -> tuple[Latency, ...]:
    """Return the latency of each TensorRT engine; `why` it was not Edgekit is noted.

    `run` is its id, which names its folder there. Of `options`, threads and warm-up mean nothing to
    trtexec: where they were given, the notes say so. Raises RemoteError for the device,
    ForeignEngineError for an engine of another GPU.
    """
    device = link.step(lambda there: inspect_device(there, root=root))
    progress(Progress("inspect", 1, 1, device.summary()))
    folder = f"{device.folder}/runs/{run}"
    try:
        with signals_to(signal.default_int_handler):
            sent = _send(link, device, engines, run, progress)
            meet_neighbours(link, folder)
            timed = [_probe(link, device, *each, folder, options.batch) for each in sent]
            block, before, after = _take_turns(link, device, timed, folder, options, progress, root)
    except BaseException as reason:
        if not is_given_up(reason):
            progress(Progress("stop", 0, 1, "ending trtexec on the device"))
            remove_folder(link, folder, progress)
        raise
    disturbed = disturbances(link, folder)
    remove_folder(link, folder, progress)
    interleaved, notes = uuid4().hex[:16], (why, *_unread(options))
    found = [
        _latency(each, link, device, interleaved, block, before, after, notes) for each in timed
    ]
    found = [replace(one, unstable=(*disturbed, *one.unstable)) for one in found]
    if not options.layers:
        return tuple(found)
    pairs = zip(found, timed, strict=True)
    return tuple(replace(one, layers=kernels_from_layers(each.layers)) for one, each in pairs)


def _take_turns(
    link: Link,
    device: Device,
    timed: Sequence[_Timed],
    folder: str,
    options: TimingOptions,
    progress: ProgressCallback,
    root: str,
) -> tuple[int, Conditions, Conditions]:
    """Run the engines in turns; return the inferences per run and the conditions around them."""
    rounds = min(_ROUNDS, options.samples)
    block = _block(timed, options.samples, options.seconds, rounds)
    before = link.step(lambda there: _conditions(there, device, root))
    generator = random.Random(options.seed)
    for done in range(rounds):
        for each in generator.sample(timed, len(timed)):
            each.runs.append(_turn(link, device, each, folder, block, options.seconds))
        progress(Progress("measure", done + 1, rounds))
    return block, before, link.step(lambda there: _conditions(there, device, root))


def _unread(options: TimingOptions) -> tuple[str, ...]:
    """Return a note on options that were given and that trtexec has not."""
    words = options.words(changed_only=True, only=("threads", "warmup"))
    given = " and ".join(map(" ".join, zip(words[::2], words[1::2], strict=True)))
    does = f"it warms up for {WARMUP_MS} ms, and a GPU engine has no CPU threads"
    return (f"trtexec did not read {given}: {does}",) if given else ()


def _send(
    link: Link,
    device: Device,
    engines: Sequence[Engine],
    run: str,
    progress: ProgressCallback,
) -> list[tuple[Engine, str]]:
    """Bring the engines to the device; return each with where it has it."""
    for engine in engines:
        if device.target.sm not in engine.manifest.sms:
            raise ForeignEngineError(
                f"{engine.path.name} was built for {engine.manifest.target}; {link.address} is "
                f"{device.target.name} (SM {device.target.sm_text}): it cannot load there.",
                next_command=f"edgekit build MODEL.onnx --target {device.target.id} "
                f"--host {link.address}",
            )
    places = keep_there(
        link,
        [(engine.path, engine.manifest.engine_digest) for engine in engines],
        run=run,
        folder=device.folder,
        free_mib=device.disk_free_mib,
        progress=progress,
    )
    return list(zip(engines, places, strict=True))


def _probe(
    link: Link, device: Device, engine: Engine, remote: str, folder: str, batch: int
) -> _Timed:
    """Run an engine for the first time, layer by layer."""
    count = engine.contract.input_shape[0] or batch or 1
    flags = [
        *timing_flags(device, engine, batch=count, graph=False),
        *(f"--iterations={_PROBES}", "--exportProfile=profile.json", "--separateProfileRun"),
    ]
    probe = link.step(
        lambda there: time_once(there, device, remote, folder, flags, timeout_s=_START_S)
    )
    show = f"cat {quote(folder)}/profile.json"
    profile = link.step(lambda there: ask(there, show, what="show the profile"))
    return _Timed(engine, remote, probe, layers_from_profile(profile), count)


def _block(timed: Sequence[_Timed], samples: int, seconds: float, rounds: int) -> int:
    """Return how many inferences each run makes: what the slowest engine can in its time."""
    slowest_ms = max(query.latency_ms for each in timed for query in each.probe.queries)
    fit = int(seconds * 1e3 / rounds / slowest_ms)
    return max(1, min(math.ceil(samples / rounds), fit))


def _turn(
    link: Link, device: Device, each: _Timed, folder: str, block: int, seconds: float
) -> TimedRun:
    flags = [
        *timing_flags(device, each.engine, batch=each.batch, graph=True),
        f"--iterations={block}",
    ]
    limit_s = _START_S + 2 * seconds
    run = link.step(
        lambda there: time_once(there, device, each.remote, folder, flags, timeout_s=limit_s)
    )
    if len(run.queries) < block:
        raise RemoteError(
            f"trtexec on {link.address} timed {len(run.queries)} of {block} inferences.",
            next_command=f"edgekit measure {quoted(each.engine.path)} --host {link.address}",
        )
    return run


def _conditions(there: Connection, device: Device, root: str) -> Conditions:
    with open_machine(there, root=root) as machine:
        return conditions_of(there, machine, tensorrt=device.tensorrt)


def _latency(
    each: _Timed,
    link: Link,
    device: Device,
    run: str,
    block: int,
    before: Conditions,
    after: Conditions,
    notes: Sequence[str],
) -> Latency:
    samples = tuple(q.latency_ms for timed in each.runs for q in timed.queries[:block])
    sensors = sensors_of([line for timed in each.runs for line in timed.tegrastats])
    load_s = each.probe.log.load_s
    slowest = sorted(each.layers, key=lambda layer: -layer.average_ms)
    said = dict.fromkeys(text for timed in each.runs for text in timed.log.warnings)
    conditions: dict[str, Any] = {
        **asdict(after),
        "before": asdict(before),
        "host": str(link.address),
        "measured_with": f"trtexec {device.tensorrt}",
        "covers": _COVERS,
        "warmup_ms": WARMUP_MS,
        "data_transfers": True,
        "spin_wait": True,
        "cuda_graph": "asked for",
        "tegrastats": asdict(sensors) if sensors else None,
        "slowest_layers": [asdict(layer) for layer in slowest[:_SHOWN]],
    }
    return Latency(
        engine=str(each.engine.path),
        digest=each.engine.manifest.engine_digest,
        backend="tensorrt",
        precision=each.engine.manifest.precision,
        threads=0,
        batch=each.batch,
        run=run,
        block=block,
        samples_ms=samples,
        warmup_ms=(),
        switch_ms=(),
        cold_start_ms=(load_s or 0.0) * 1e3,
        bytes=each.engine.path.stat().st_size,
        conditions=json.loads(json.dumps(conditions)),  # as it will be read back
        unstable=why_unstable(samples, before, after),
        notes=(
            *notes,
            _COVERS,
            "cold start is loading and deserialising, without the first inference"
            if load_s
            else "trtexec did not say how long loading took: cold start is unknown and stands as 0",
            *(f"trtexec: {text}" for text in said),
        ),
    )
