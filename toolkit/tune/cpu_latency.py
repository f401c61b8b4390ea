"""Latency on this machine's CPU: layer times before a search, its result in turns with INT8 after.

Both build real engines in a folder of their own, which is gone afterwards.
"""

from __future__ import annotations

import tempfile
from pathlib import Path

import toolkit
from calibration.emit import Quantized
from targets.cpu import read_cpu
from targets.machine import Machine
from toolkit.artifacts import OnnxModel
from toolkit.build import build
from toolkit.errors import BuildError
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
        found = _timed(flat.path, rounded.path, threads, progress, layers=True)
    times = layer_times(
        *found,
        network.graph,
        network.placement.int8_nodes,
        source=f"measured here, {cpu.model or cpu.arch}, {_words(threads)}, {VERSION}",
        measure_again=f"edgekit tune {quoted(source.path)} --images DIR",
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
        return _timed(tuned.path, plain.path, threads, progress, layers=False)


def _timed(
    first: Path, second: Path, threads: int, progress: ProgressCallback, *, layers: bool
) -> tuple[Latency, Latency]:
    try:
        engines = [build(path, target="cpu", progress=progress).path for path in (first, second)]
    except BuildError as error:  # the folder it names will be gone
        said = str(error).replace(f"{first.parent}/", "")
        raise BuildError(said, next_command=error.next_command) from error
    runs = measure(
        engines,
        threads=threads,
        samples=_SAMPLES,
        seconds=_SECONDS,
        layers=layers,
        progress=progress,
    )
    return runs[0], runs[1]


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
