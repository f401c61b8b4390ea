"""One row per engine: its manifest, its latency and its accuracy put together."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from pathlib import Path

from toolkit.contract import UNCALIBRATED
from toolkit.errors import InputError
from toolkit.latency import Latency
from toolkit.report.model import BUILT_ONLY, SCORED_ONLY, UNSTABLE, ReportRow, Span
from toolkit.report.run_files import BuiltEngine, RunFiles
from toolkit.report.scores import Score, Scores
from toolkit.statistics import Interval

__all__ = ["ONNX_FILE", "model_name", "precision_in_name", "rows_from_runs"]

ONNX_FILE = "ONNX file"
"""Stands for the target of a model that was run without being built for a device."""


def rows_from_runs(
    runs: RunFiles, scores: Scores, *, measured_where: Callable[[Latency], str]
) -> tuple[ReportRow, ...]:
    """Return the rows of all engines, then of ONNX files that were run as they are.

    `measured_where` gives the status of a latency. Raises InputError when a file was measured in
    two runs.
    """
    latencies = _by_digest(run for run in runs.latencies if run.backend != "fake")
    names = _names(runs)
    found: list[tuple[str, ReportRow, Score | None]] = []
    for engine in runs.engines:
        row = _row_of_engine(engine, names[str(engine.path)])
        found.append((engine.manifest.engine_digest, row, scores.of_engine(engine)))
    parents = {each.manifest.onnx_digest for each in runs.engines}
    parents |= {str(each.manifest.contract.get("parent") or "") for each in runs.engines}
    for digest, file in _loose_files(runs).items():
        # The accuracy of a parent shows in the rows of what was made from it.
        if digest in latencies or digest not in parents:
            model = model_name("", Path(file.path))
            row = ReportRow(ONNX_FILE, file.precision, names[file.path], model=model)
            found.append((digest, row, scores.of_file(digest)))
    rows = []
    for digest, row, score in found:
        latency = latencies.get(digest)
        if latency is not None:
            row = _with_latency(row, latency, status=measured_where(latency))
        rows.append(_with_score(row, score, scores) if score is not None else row)
    return tuple(rows)


def model_name(source: str, engine: Path) -> str:
    """Return what to call the network: `mobilenet_v2` for `torchvision:mobilenet_v2, ...`."""
    named = re.match(r"\w+:([^,]+)", source)
    return named[1].strip() if named else engine.name.split(".")[0]


def _row_of_engine(engine: BuiltEngine, name: str) -> ReportRow:
    manifest = engine.manifest
    sms = ", ".join(f"SM {sm // 10}.{sm % 10}" for sm in manifest.sms)
    return ReportRow(
        target=manifest.target,
        precision=manifest.precision,
        engine=name,
        bytes=engine.bytes,
        model=model_name(str(manifest.contract.get("source") or ""), engine.path),
        uncalibrated=manifest.contract.get("calibration") == UNCALIBRATED,
        built_with=manifest.built_with,
        built_on=manifest.built_on,
        made_for=manifest.isa or sms,
    )


def _with_latency(row: ReportRow, latency: Latency, *, status: str) -> ReportRow:
    energy = latency.energy
    if energy is not None:
        row = replace(
            row,
            mj=energy.mj,
            mj_interval=_span(energy.interval()),
            energy_of=f"{energy.covers}, {energy.source}",
        )
    return replace(
        row,
        p50_ms=latency.percentile(50),
        p95_ms=latency.percentile(95),
        p99_ms=latency.percentile(99),
        p50_interval=_span(latency.interval(50)),
        p99_interval=_span(latency.interval(99)),
        latency_samples=latency.samples_ms,
        latency_run=latency.run,
        block=latency.block,
        bytes=row.bytes if row.bytes is not None else latency.bytes,
        status=status,
        note=UNSTABLE if latency.unstable else "",
        slowest_layers=latency.slowest_layers(),
    )


def _with_score(row: ReportRow, score: Score, scores: Scores) -> ReportRow:
    scored = row.status == BUILT_ONLY and not score.of
    row = replace(
        row,
        top1=score.top1,
        top1_interval=score.top1_interval,
        top5=score.top5,
        images=score.images,
        accuracy_of=score.of,
        status=SCORED_ONLY if scored else row.status,
    )
    drop = scores.drop_of(score.digest, target=row.target) if row.precision != "fp32" else None
    if drop is None:
        return row
    return replace(row, drop_points=drop.drop_points, drop_interval=drop.drop_interval)


def _span(interval: Interval) -> Span:
    low, high = interval.to_list()
    return low, high


def _by_digest(latencies: Iterable[Latency]) -> dict[str, Latency]:
    known: dict[str, Latency] = {}
    for latency in latencies:
        other = known.setdefault(latency.digest, latency)
        if other is not latency:
            how = "twice in one run" if other.run == latency.run else "in two runs"
            raise InputError(
                f"{latency.engine} was measured {how} ({other.run} and {latency.run}): a report "
                "can show only one of these.",
                next_command="edgekit report RUN_FILES... --out report.html   (name the files)",
            )
    return known


def _names(runs: RunFiles) -> dict[str, str]:
    """Return the file name of each engine and file, or its path where two have one name."""
    paths = [str(each.path) for each in runs.engines]
    paths += [file.path for file in _loose_files(runs).values()]
    names = [Path(path).name for path in paths]
    return {path: Path(path).name if names.count(Path(path).name) == 1 else path for path in paths}


@dataclass(frozen=True)
class _LooseFile:
    path: str
    precision: str


def _loose_files(runs: RunFiles) -> dict[str, _LooseFile]:
    """Return every file, by digest, that has a latency or an accuracy but no manifest here."""
    files: dict[str, _LooseFile] = {}
    for latency in runs.latencies:
        if latency.backend != "fake":
            files.setdefault(latency.digest, _LooseFile(latency.engine, latency.precision))
    for accuracy in runs.accuracies:
        files.setdefault(accuracy.digest, _LooseFile(accuracy.model, accuracy.precision))
    for paired in runs.comparisons:
        files.setdefault(paired.before_digest, _LooseFile(paired.before, "fp32"))
        files.setdefault(
            paired.after_digest, _LooseFile(paired.after, precision_in_name(paired.after))
        )
    built = {each.manifest.engine_digest for each in runs.engines}
    return {digest: file for digest, file in files.items() if digest not in built}


def precision_in_name(name: str) -> str:
    """Return the precision that a file's name states, or "unknown"; comparisons hold none."""
    parts = re.split(r"[^a-z0-9]+", Path(name).name.lower())
    return next((p for p in ("int8", "fp16", "fp32") if p in parts), "unknown")
