"""The commands that make the same figures again, from what the run files record."""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from pathlib import Path

from toolkit.report.run_files import BuiltEngine, RunFiles

__all__ = ["commands_from_runs"]


def commands_from_runs(runs: RunFiles) -> tuple[str, ...]:
    """Return calibrate, build, measure, score, compare and live, in that order.

    What no file records is written in capitals: the folder of calibration images, the model where
    its name cannot be told from that of what was made of it.
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
        data = "--random-data" if table.uncalibrated else "--images TRAINING_IMAGES"
        yield _line(
            *("edgekit", "calibrate", "MODEL.onnx", *data.split(), "--samples", table.samples),
            *("--method", table.method, "--effort", table.effort, "--seed", table.seed),
            *_target(table.scheme),
            *("--out", f"{stem}.int8.onnx"),
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
