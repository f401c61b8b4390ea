"""Latency on this machine's CPU: layer times before a search, its result in turns with INT8 after.

Both build real engines in a folder of their own, which is gone afterwards.
"""

from __future__ import annotations

import re
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import toolkit
from calibration.emit import Quantized
from targets.cpu import read_cpu
from targets.machine import Machine
from toolkit.artifacts import OnnxModel
from toolkit.build import build, engine_path
from toolkit.errors import EdgekitError
from toolkit.int8_model import write_int8_model
from toolkit.latency import Latency
from toolkit.measure import measure
from toolkit.onnx_model.file import write_onnx
from toolkit.progress import ProgressCallback
from toolkit.record_file import damaged
from toolkit.runtime.onnxruntime import VERSION
from toolkit.shell import quoted
from toolkit.tune.journal import Journal
from toolkit.tune.layer_times import LayerTimes, layer_times, layer_times_from_dict

__all__ = ["measured_in_turns", "times_on_this_cpu"]

_SAMPLES, _SECONDS = 400, 15.0
"""Per engine. With 400 inferences the interval of p50 is within a few percent on a calm machine."""


def times_on_this_cpu(
    source: OnnxModel,
    int8: Quantized,
    journal: Journal,
    *,
    threads: int,
    progress: ProgressCallback,
) -> LayerTimes:
    """Return what layers cost here in float, from engines of the float graph and of `int8`.

    Kept in the journal for this model, CPU, runtime and number of threads: a search that goes on
    must not get another order of layers. Raises what `build` and `measure` raise.
    """
    network, cpu = int8.recipe.network, read_cpu(Machine())
    with tempfile.TemporaryDirectory(prefix="edgekit-tune-") as name:
        folder = Path(name)
        contract = source.contract.with_changes(activation_map="")  # the network alone
        flat = write_onnx(network.model, folder / "float.onnx", contract)
        rounded = write_int8_model(int8, source, folder / "int8.onnx")
        machine = (cpu.model or cpu.arch, cpu.isa, VERSION, f"{threads} threads")
        key = ("layer times", toolkit.__version__, flat.digest, rounded.digest, *machine)
        known = journal.find(*key)
        if known is not None:
            return _checked(known, journal)
        names = {flat.path: f"{source.path}", rounded.path: f"{source.path} in INT8"}
        found = _timed(names, source, threads, progress, layers=True)
    times = layer_times(
        *found,
        network.graph,
        network.placement.int8_nodes,
        source=f"measured here, {cpu.model or cpu.arch}, {_words(threads)}, {VERSION}",
        measure_again=_again(source),
        notes=[note for run in found for note in run.unstable],
    )
    journal.record(times.to_dict(), *key)
    return times


def measured_in_turns(
    result: Quantized,
    *,
    int8: Quantized,
    source: OnnxModel,
    threads: int,
    progress: ProgressCallback,
) -> tuple[Latency, Latency]:
    """Return the latency here of the engine of `result`, and of `int8` in turns with it.

    Raises what `build` and `measure` raise.
    """
    with tempfile.TemporaryDirectory(prefix="edgekit-tune-") as name:
        folder = Path(name)
        tuned = write_int8_model(result, source, folder / "tuned.int8.onnx")
        plain = write_int8_model(int8, source, folder / "plain.int8.onnx")
        names = {tuned.path: f"the tuned {source.path}", plain.path: f"{source.path} in INT8"}
        return _timed(names, source, threads, progress, layers=False)


def _timed(
    names: Mapping[Path, str],
    source: OnnxModel,
    threads: int,
    progress: ProgressCallback,
    *,
    layers: bool,
) -> tuple[Latency, Latency]:
    """Return the runs of two models in temporary files, which go by their `names` afterwards."""
    engines = {engine_path(path, "cpu"): name for path, name in names.items()}
    with _told_of({**names, **engines}, source):
        for path in names:
            build(path, target="cpu", progress=progress)
        runs = measure(
            list(engines),
            threads=threads,
            samples=_SAMPLES,
            seconds=_SECONDS,
            layers=layers,
            progress=progress,
        )
    first, second = runs
    one, other = names.values()
    return replace(first, engine=one), replace(second, engine=other)


@contextmanager
def _told_of(names: Mapping[Path, str], source: OnnxModel) -> Iterator[None]:
    """Let errors speak of the user's model: the files they are about, in one folder, will be gone.

    In one pass, for the user's model may be called like one of them.
    """
    known = {text: name for path, name in names.items() for text in (str(path), path.name)}
    either = "|".join(map(re.escape, sorted(known, key=len, reverse=True)))
    file = re.compile(rf"(?<![\w./-])({either})")
    folder = str(next(iter(names)).parent)
    try:
        yield
    except EdgekitError as error:
        said = file.sub(lambda match: known[match[1]], error.message)
        command = _again(source) if file.search(error.next_command) else error.next_command
        said, command = (text.replace(folder, tempfile.gettempdir()) for text in (said, command))
        raise type(error)(said, next_command=command) from error


def _again(source: OnnxModel) -> str:
    return f"edgekit tune {quoted(source.path)} --images DIR --target cpu --max-latency MS"


def _words(threads: int) -> str:
    return f"{threads} thread{'s' if threads > 1 else ''}" if threads else "all CPUs"


def _checked(known: object, journal: Journal) -> LayerTimes:
    try:
        if not isinstance(known, dict):
            raise TypeError(f"a {type(known).__name__}")
        return layer_times_from_dict(known)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        remake = f"rm {quoted(journal.path)}"
        raise damaged(journal.path, f"its layer times: {error}", remake=remake) from error
