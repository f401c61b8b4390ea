"""Time engines on the device over SSH with its trtexec, in turns, into the usual record."""

from __future__ import annotations

import json
import math
import random
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from shlex import quote
from typing import Any
from uuid import uuid4

from targets import Conditions
from toolkit.artifacts import Engine, open_engine_file
from toolkit.errors import ForeignEngineError, InputError, RemoteError
from toolkit.latency import Latency
from toolkit.measure import why_unstable
from toolkit.progress import Progress, ProgressCallback, silent
from toolkit.remote.connection import Address, Connection, Opener, ask
from toolkit.remote.link import PAUSES_S, Link, open_link
from toolkit.remote.machine import conditions_of, open_machine
from toolkit.remote.preflight import Device, check_room, inspect_device
from toolkit.remote.timing import WARMUP_MS, TimedRun, sensors_of, time_once, timing_flags
from toolkit.remote.transfer import put
from toolkit.remote.trtexec import LayerTime, layers_from_profile
from toolkit.shell import quoted, word

__all__ = ["measure_on_device"]

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


def measure_on_device(
    engines: Sequence[Path],
    *,
    host: Address,
    samples: int = 1000,
    seconds: float = 60.0,
    batch: int = 0,
    seed: int = 0,
    progress: ProgressCallback = silent,
    opener: Opener | None = None,
    pauses_s: tuple[float, ...] = PAUSES_S,
    sleep: Callable[[float], None] = time.sleep,
    root: str = "/",
) -> tuple[Latency, ...]:
    """Return the latency of each engine on the device at `host`; the engines take turns.

    Each gets `samples` inferences, or as many as fit into `seconds`. Raises RemoteError for the
    device and the way to it, ForeignEngineError for an engine of another GPU, InputError for one
    without manifest, one named twice or a budget of nothing.
    """
    opened = _open(engines, samples=samples, seconds=seconds, batch=batch)
    resume = f"edgekit measure {' '.join(map(quoted, engines))} --host {word(str(host))}"
    with open_link(
        host, resume=resume, progress=progress, opener=opener, pauses_s=pauses_s, sleep=sleep
    ) as link:
        device = link.step(lambda there: inspect_device(there, root=root))
        progress(Progress("inspect", 1, 1, device.summary()))
        folder = f"{device.folder}/runs/{uuid4().hex[:16]}"
        timed = [_send(link, device, each, folder, batch, progress) for each in opened]
        rounds = min(_ROUNDS, samples)
        block = _block(timed, samples, seconds, rounds)
        before = link.step(lambda there: _conditions(there, device, root))
        generator = random.Random(seed)
        for done in range(rounds):
            for each in generator.sample(timed, len(timed)):
                each.runs.append(_turn(link, device, each, folder, block, seconds))
            progress(Progress("measure", done + 1, rounds))
        after = link.step(lambda there: _conditions(there, device, root))
        link.step(lambda there: there.run(f"rm -rf {quote(folder)}"))
    run = uuid4().hex[:16]
    return tuple(_latency(each, device, run, block, before, after) for each in timed)


def _open(
    engines: Sequence[Path], *, samples: int, seconds: float, batch: int
) -> tuple[Engine, ...]:
    again = "edgekit measure ENGINE --host USER@HOST --samples 1000"
    if not engines or len(set(engines)) < len(engines):
        raise InputError(
            "There is no engine to measure." if not engines else "An engine is named twice.",
            next_command=again,
        )
    if samples < 1 or not seconds > 0.0 or batch < 0:
        raise InputError(
            f"Nothing can be measured with {samples} samples in {seconds:g} s of {batch} images.",
            next_command=again,
        )
    opened = tuple(map(open_engine_file, engines))
    for engine in opened:
        fixed = engine.contract.input_shape[0]
        if engine.manifest.backend != "tensorrt":
            raise InputError(
                f"{engine.path} is a {engine.manifest.backend} engine, which trtexec does not run.",
                next_command=f"edgekit measure {quoted(engine.path)}",
            )
        if fixed and batch not in (0, fixed):
            raise InputError(
                f"{engine.path} takes batches of {fixed} images, not of {batch}.",
                next_command=f"edgekit measure {quoted(engine.path)} --batch {fixed}",
            )
    return opened


def _send(
    link: Link,
    device: Device,
    engine: Engine,
    folder: str,
    batch: int,
    progress: ProgressCallback,
) -> _Timed:
    """Bring the engine to the device and run it for the first time, layer by layer."""
    manifest = engine.manifest
    if device.target.sm not in manifest.sms:
        raise ForeignEngineError(
            f"{engine.path.name} was built for {manifest.target}; {link.address} is "
            f"{device.target.name} (SM {device.target.sm_text}): it cannot load there.",
            next_command=f"edgekit build MODEL.onnx --target {device.target.id} "
            f"--host {link.address}",
        )
    store = f"{device.folder}/engines"
    remote = f"{store}/{manifest.engine_digest[:16]}.engine"
    size = engine.path.stat().st_size
    make = f"mkdir -p {quote(store)}"
    link.step(lambda there: check_room(device, there, size))
    link.step(lambda there: ask(there, make, what=f"make {store}"))
    link.step(lambda there: put(there, engine.path, remote, progress=progress))
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
    each: _Timed, device: Device, run: str, block: int, before: Conditions, after: Conditions
) -> Latency:
    samples = tuple(q.latency_ms for timed in each.runs for q in timed.queries[:block])
    sensors = sensors_of([line for timed in each.runs for line in timed.tegrastats])
    load_s = each.probe.log.load_s
    said = dict.fromkeys(text for timed in each.runs for text in timed.log.warnings)
    conditions: dict[str, Any] = {
        **asdict(after),
        "before": asdict(before),
        "measured_with": f"trtexec {device.tensorrt}",
        "covers": _COVERS,
        "warmup_ms": WARMUP_MS,
        "data_transfers": True,
        "spin_wait": True,
        "cuda_graph": "asked for",
        "tegrastats": asdict(sensors) if sensors else None,
        "slowest_layers": [asdict(layer) for layer in each.layers[:_SHOWN]],
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
            _COVERS,
            "cold start is loading and deserialising, without the first inference"
            if load_s
            else "trtexec did not say how long loading took: cold start is unknown and stands as 0",
            *(f"trtexec: {text}" for text in said),
        ),
    )
