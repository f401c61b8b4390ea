"""Time engines on a machine over SSH: with its Edgekit, or else with its trtexec."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from uuid import uuid4

from toolkit.artifacts import Engine, OnnxModel
from toolkit.errors import InputError, RemoteError
from toolkit.latency import Latency
from toolkit.progress import Progress, ProgressCallback, silent
from toolkit.remote.connection import Address, Opener
from toolkit.remote.link import PAUSES_S, open_link
from toolkit.remote.measure_edgekit import measure_with_edgekit
from toolkit.remote.measure_trtexec import measure_with_trtexec
from toolkit.remote.their_edgekit import TheirEdgekit, find_edgekit, install_command
from toolkit.remote.timing_options import TimingOptions
from toolkit.runtime import open_runnable
from toolkit.shell import quoted, word

__all__ = ["NO_EDGEKIT", "measure_on_device"]

NO_EDGEKIT = "none"
"""Given instead of a path: time with trtexec, whatever else the device has."""

_EXTRAS = {"tensorrt": "[tensorrt]", "tensorrt_rtx": "[rtx]"}
_Opened = Engine | OnnxModel


def measure_on_device(
    engines: Sequence[Path],
    *,
    host: Address,
    threads: int = 0,
    samples: int = 1000,
    seconds: float = 60.0,
    warmup: int = 50,
    batch: int = 0,
    seed: int = 0,
    layers: bool = False,
    energy: bool = False,
    edgekit: str = "",
    resume: str = "",
    repeated: Sequence[str] = (),
    progress: ProgressCallback = silent,
    opener: Opener | None = None,
    pauses_s: tuple[float, ...] = PAUSES_S,
    sleep: Callable[[float], None] = time.sleep,
    root: str = "/",
) -> tuple[Latency, ...]:
    """Return the latency of each engine on the machine at `host`; the engines take turns.

    An Edgekit there with our first two version numbers times them, as `toolkit.measure.measure`
    does here: engines of every backend, and models. Without one, trtexec times TensorRT engines;
    the notes say which of the two it was, and why. `edgekit` is the command or environment over
    there, "none" for trtexec; one that was named must work. Each engine gets `samples` inferences,
    or as many as fit into `seconds`. `resume` is the id of a measurement that was given up when its
    connection was lost: its error has the command with it, to which `repeated` adds what else the
    caller's own command line held; trtexec starts anew. Raises RemoteError for the device and the
    way to it, ForeignEngineError for an engine of another GPU, InputError for an engine that
    nothing there can time, one named twice, a budget of nothing or an id that is none, and what
    opening an engine raises.
    """
    options = TimingOptions(threads, samples, seconds, warmup, batch, seed, layers, energy)
    opened = _open(engines, options)
    run = _checked_id(resume, engines, host) if resume else uuid4().hex[:16]
    asked = (*options.words(changed_only=True), *repeated)
    again = " ".join([_command(engines, host, edgekit), *asked, f"--resume {run}"])
    with open_link(
        host, resume=again, progress=progress, opener=opener, pauses_s=pauses_s, sleep=sleep
    ) as link:
        if edgekit == NO_EDGEKIT:
            why = f"timed with trtexec: --edgekit {NO_EDGEKIT} was asked for"
            _check_trtexec_can(opened, options, host, why_not="is not asked for its Edgekit")
        else:
            found = link.step(lambda there: find_edgekit(there, given=edgekit))
            if not found.why_not:
                note = f"Edgekit {found.version} at {found.command}"
                progress(Progress("inspect", 1, 1, note))
                return measure_with_edgekit(
                    link,
                    found,
                    opened,
                    options,
                    run=run,
                    resumed=bool(resume),
                    progress=progress,
                )
            _check_may_be_trtexec(found, opened, options, host, named=bool(edgekit))
            why = f"timed with trtexec: {host} {found.why_not}"
        ours = [each for each in opened if isinstance(each, Engine)]
        return measure_with_trtexec(
            link, ours, options, run=run, why=why, progress=progress, root=root
        )


def _command(engines: Sequence[Path], host: Address, edgekit: str) -> str:
    words = [f"edgekit measure {' '.join(map(quoted, engines))} --host {word(str(host))}"]
    words += [f"--port {host.port}"] if host.port else []
    words += [f"--identity {quoted(host.identity)}"] if host.identity else []
    words += [f"--edgekit {word(edgekit)}"] if edgekit else []
    return " ".join(words)


def _checked_id(resume: str, engines: Sequence[Path], host: Address) -> str:
    if re.fullmatch(r"[0-9a-f]{16}", resume):
        return resume
    raise InputError(
        f"{resume!r} is no id of a measurement: that has 16 hexadecimal digits.",
        next_command=_command(engines, host, ""),
    )


def _open(engines: Sequence[Path], options: TimingOptions) -> tuple[_Opened, ...]:
    again = "edgekit measure ENGINE --host USER@HOST --samples 1000"
    if not engines or len(set(engines)) < len(engines):
        raise InputError(
            "There is no engine to measure." if not engines else "An engine is named twice.",
            next_command=again,
        )
    if options.samples < 1 or not options.seconds > 0.0 or min(options.batch, options.warmup) < 0:
        raise InputError(
            f"Nothing can be measured with {options.samples} samples in {options.seconds:g} s "
            f"after {options.warmup} warm-up inferences of {options.batch} images.",
            next_command=again,
        )
    opened = tuple(map(open_runnable, engines))
    for engine in opened:
        fixed = engine.contract.input_shape[0]
        if fixed and options.batch not in (0, fixed):
            raise InputError(
                f"{engine.path} takes batches of {fixed} images, not of {options.batch}.",
                next_command=f"edgekit measure {quoted(engine.path)} --batch {fixed}",
            )
    return opened


def _backend(each: _Opened) -> str:
    return each.manifest.backend if isinstance(each, Engine) else "onnxruntime"


def _check_may_be_trtexec(
    found: TheirEdgekit,
    opened: Sequence[_Opened],
    options: TimingOptions,
    host: Address,
    *,
    named: bool,
) -> None:
    """Raise with what to install when trtexec is no way out."""
    backends = sorted({_backend(each) for each in opened})
    extras = _EXTRAS.get(backends[-1], "")
    install = install_command(found, host, extras=extras)
    if named:
        raise RemoteError(f"{host} {found.why_not}.", next_command=install)
    _check_trtexec_can(opened, options, host, why_not=found.why_not, install=install)
    if not found.trtexec:
        jetson = any(
            isinstance(e, Engine) and e.manifest.target.startswith("jetson") for e in opened
        )
        raise RemoteError(
            f"{host} {found.why_not}, and no trtexec either: TensorRT is not installed there, or "
            "not where JetPack puts it.",
            next_command=f"{host.ssh} sudo apt-get install nvidia-jetpack" if jetson else install,
        )


def _check_trtexec_can(
    opened: Sequence[_Opened],
    options: TimingOptions,
    host: Address,
    *,
    why_not: str,
    install: str = "",
) -> None:
    """Raise InputError for what trtexec does not time."""
    there = f"edgekit measure ENGINE --host {word(str(host))}"
    for each in opened:
        if _backend(each) != "tensorrt":
            kind = f"a {_backend(each)} engine" if isinstance(each, Engine) else "an ONNX model"
            raise InputError(
                f"{each.path} is {kind}, which trtexec does not run, and {host} {why_not}.",
                next_command=install or there,
            )
    if options.energy:
        raise InputError(
            f"trtexec reads no energy sensors, and {host} {why_not}.",
            next_command=install or f"{there} --energy",
        )
