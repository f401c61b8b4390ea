"""The commands that make the same figures again, from what the run files record."""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from calibration.methods import METHODS
from calibration.table import CalibrationTable
from toolkit.calibrate.cache import pair_of_table
from toolkit.report.run_files import BuiltEngine, RunFiles
from toolkit.training.qat.origin import QAT, origin_of

__all__ = ["commands_from_runs"]


def commands_from_runs(runs: RunFiles) -> tuple[str, ...]:
    """Return calibrate or train --qat, build, measure, score, compare and live, in that order.

    What no file records is written in capitals: the folder of calibration images, the model where
    its name cannot be told from that of what was made of it. Of a fine-tuning, options that no
    table holds (its learning rate, for one) are left at their defaults.
    """
    lines = [
        *_calibrations(runs),
        *(_build(engine) for engine in runs.engines),
        *_measurements(runs),
        *_scores(runs),
        *_live(runs),
    ]
    return tuple(dict.fromkeys(lines))


def _calibrations(runs: RunFiles) -> Iterator[str]:
    for path, table in runs.tables:
        stem = path.name.removesuffix(".json").removesuffix(".calibration")
        pair = pair_of_table(path, table.digest)
        yield _line("edgekit", *_how_it_was_made(table, stem, pair))


def _how_it_was_made(
    table: CalibrationTable, stem: str, pair: dict[str, Any]
) -> tuple[object, ...]:
    """Return the command for ranges that were chosen, learned or taken over from a file.

    `pair` is the manifest of the calibration cache that a DLA got with the table; {} without one.
    """
    shifts = ("--explicit-shifts",) if table.explicit_shifts else ()
    made_for = (pair.get("target", "TARGET"), "--dla", "--out", pair.get("model", f"{stem}.onnx"))
    dla = ("--target", *made_for)
    rest = dla if pair else (*_target(table.scheme), *shifts, "--out", f"{stem}.int8.onnx")
    if table.method == QAT:
        return ("train", "DATA", "--qat", "MODEL.pt", *_learned(table), *rest)
    if table.method.endswith(".onnx"):  # the Q/DQ model whose ranges a DLA got
        return ("calibrate", table.method, "--images", "TRAINING_IMAGES", *dla)
    if table.method not in ("auto", *METHODS):  # the name of TensorRT's cache
        return ("calibrate", "MODEL.onnx", "--from-cache", table.method, *rest)
    data = ("--random-data",) if table.uncalibrated else ("--images", "TRAINING_IMAGES")
    return (
        *("calibrate", "MODEL.onnx", *data, "--samples", table.samples),
        *("--method", table.method, "--effort", table.effort, "--seed", table.seed),
        *rest,
    )


def _learned(table: CalibrationTable) -> tuple[object, ...]:
    origin = origin_of(table)
    epochs, method = (origin.epochs, origin.method) if origin else ("EPOCHS", "METHOD")
    return (
        *("--epochs", epochs, "--samples", table.samples),
        *("--method", method, "--effort", table.effort, "--seed", table.seed),
    )


def _target(scheme: str) -> tuple[str, ...]:
    """Return the option of `calibrate` that leads to a scheme."""
    if scheme in ("", "tensorrt"):
        return ()
    return "--target", "cpu" if scheme.startswith("onnxruntime") else "TARGET"


def _build(engine: BuiltEngine) -> str:
    manifest = engine.manifest
    name = engine.path.name.removesuffix(".engine").removesuffix(".onnx")
    stem = name.removesuffix(f".{manifest.target}")
    model = f"{stem}.onnx" if stem != name else "MODEL.onnx"
    return _line("edgekit", "build", model, "--target", manifest.target, "--out", engine.path.name)


def _measurements(runs: RunFiles) -> Iterator[str]:
    for run in dict.fromkeys(latency.run for latency in runs.latencies):
        members = [latency for latency in runs.latencies if latency.run == run]
        first = members[0]
        yield _line(
            *("edgekit", "measure", *(Path(each.engine).name for each in members)),
            *("--threads", first.threads, "--samples", len(first.samples_ms)),
            *(("--energy",) if any(each.energy for each in members) else ()),
        )


def _scores(runs: RunFiles) -> Iterator[str]:
    for accuracy in runs.accuracies:
        yield _line(
            *("edgekit", "score", Path(accuracy.model).name, "--images", accuracy.images),
        )
    for paired in runs.comparisons:
        names = (Path(paired.before).name, Path(paired.after).name)
        found = paired.robustness
        swept = (
            ("--corruptions", ",".join(found.corruptions), "--seed", found.seed) if found else ()
        )
        yield _line("edgekit", "compare", *names, "--images", paired.images, *swept)


def _live(runs: RunFiles) -> Iterator[str]:
    for file in runs.live:
        run = file.run
        yield _line(
            *("edgekit", "live", run.engine, "--camera", run.camera, "--policy", run.policy),
            *("--frames", run.frames),
        )


def _line(*parts: object) -> str:
    return " ".join(shlex.quote(str(part)) for part in parts)
