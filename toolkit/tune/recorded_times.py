"""Layer times of a GPU target from latency records: `--times`, of a float and an INT8 engine."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from calibration.graph import Graph
from targets import get
from targets.catalog import Target
from toolkit.artifacts import Engine, OnnxModel, manifest_path, open_engine_file
from toolkit.errors import EdgekitError, InputError
from toolkit.latency import Latency, read_latency
from toolkit.shell import quoted
from toolkit.tune.layer_times import LayerTimes, layer_times

__all__ = ["measure_command", "recorded_times"]

_FLOAT = ("fp16", "fp32")


@dataclass(frozen=True)
class _Run:
    record: Path
    latency: Latency
    engine: Engine


def recorded_times(
    records: Sequence[Path],
    *,
    model: OnnxModel,
    target: str,
    graph: Graph,
    layers: Sequence[str],
) -> LayerTimes:
    """Return the times of `layers` on `target` from records that `measure --layers` wrote.

    Together they hold one run of a float engine and one of an INT8 engine, both of `model`. The
    engines lie, with their manifests, where they were measured, or beside the records. Raises
    InputError when something is missing, or belongs to another model, target or batch.
    """
    device = get(target)
    again = measure_command(device)
    runs = [_opened(path, run, again) for path in records for run in read_latency(path)]
    in_float = _the_one(runs, _FLOAT, "float", device, again)
    in_int8 = _the_one(runs, ("int8",), "INT8", device, again)
    for run in (in_float, in_int8):
        _check(run, model, device, again)
    if in_float.latency.batch != in_int8.latency.batch:
        raise InputError(
            f"{in_float.latency.engine} was measured with {in_float.latency.batch} images at a "
            f"time and {in_int8.latency.engine} with {in_int8.latency.batch}: their times cannot "
            "be set against each other.",
            next_command=again,
        )
    return layer_times(
        in_float.latency,
        in_int8.latency,
        graph,
        layers,
        source=_source(in_float, in_int8, device),
        measure_again=again,
        notes=_notes(in_float, in_int8),
    )


def measure_command(device: Target) -> str:
    """Return the command that makes a record with layer times on `device`: trtexec profiles."""
    return (
        "edgekit measure FLOAT.engine INT8.engine --layers --host USER@HOST --edgekit none --out "
        f"{device.id}.latency.json"
    )


def _opened(record: Path, latency: Latency, again: str) -> _Run:
    named = Path(latency.engine)
    beside = record.parent / named.name
    path = named if manifest_path(named).exists() else beside
    try:
        engine = open_engine_file(path)
    except EdgekitError as error:
        raise InputError(
            f"{record} times {named}, but of which model that engine is cannot be read: {error}",
            next_command=f"ls -l {quoted(named)} {quoted(manifest_path(named))}",
        ) from error
    if engine.manifest.engine_digest != latency.digest:
        raise InputError(
            f"{record} times another {path.name} than the one in {path.parent} (SHA-256 "
            f"{latency.digest[:12]}, not {engine.manifest.engine_digest[:12]}): it was built anew.",
            next_command=again,
        )
    return _Run(record, latency, engine)


def _the_one(
    runs: Sequence[_Run], precisions: Sequence[str], word: str, device: Target, again: str
) -> _Run:
    found = [run for run in runs if run.latency.precision in precisions]
    if len(found) == 1:
        return found[0]
    what = (
        f"there are no layer times of {'an INT8' if word == 'INT8' else 'a float'} engine"
        if not found
        else f"--times names {len(found)} {word} engines, and one is needed"
    )
    raise InputError(
        f"The latency on {device.name} cannot be predicted: {what}.", next_command=again
    )


def _check(run: _Run, model: OnnxModel, device: Target, again: str) -> None:
    manifest, contract = run.engine.manifest, run.engine.contract
    if device.id not in manifest.target.split(","):
        raise InputError(
            f"{run.record} holds times on {manifest.target}, not on {device.id}: layers cost "
            "something else on another device.",
            next_command=again,
        )
    same = (contract.source, contract.parent) == (model.contract.source, model.contract.parent)
    # A float engine may come from the FP16 form of the same source.
    mine = model.digest in (manifest.onnx_digest, contract.parent)
    if not mine and not (same and run.latency.precision in _FLOAT):
        raise InputError(
            f"{run.record} holds times of {run.latency.engine}, which was not made from "
            f"{model.path}: it is the engine of another model.",
            next_command=again,
        )
    if not run.latency.layers:
        raise InputError(
            f"{run.record} holds no times of single layers for {run.latency.engine}.",
            next_command=again,
        )


def _source(in_float: _Run, in_int8: _Run, device: Target) -> str:
    said = in_int8.latency.conditions
    where = said.get("machine") or said.get("gpu") or device.name
    names = dict.fromkeys(run.record.name for run in (in_float, in_int8))
    return f"{' and '.join(names)}, measured on {where}"


def _notes(in_float: _Run, in_int8: _Run) -> list[str]:
    notes = []
    if in_float.latency.precision == "fp32":
        notes.append("float layers are timed in FP32: where the result has FP16 they cost less")
    if in_float.latency.run != in_int8.latency.run:
        notes.append("the two engines were not measured in turns: drift may lie between them")
    if in_int8.latency.batch != 1:
        notes.append(f"latency is that of {in_int8.latency.batch} images at a time")
    return notes
