"""Find and read the JSON files that the other commands write: what a report is made from."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from calibration.table import CalibrationTable, table_from_json
from toolkit.accuracy import Accuracy, read_accuracy
from toolkit.artifacts import (
    Manifest,
    digest_of_file,
    manifest_from_dict,
    manifest_path,
    open_engine_file,
)
from toolkit.errors import InputError
from toolkit.latency import Latency, read_latency
from toolkit.record_file import damaged, read_record
from toolkit.report.live_file import LIVE_KEYS, live_from_dict, live_samples
from toolkit.report.model import LiveRun, SourceFile
from toolkit.report.paired import Paired, paired_from_dict
from toolkit.shell import quoted

__all__ = ["BuiltEngine", "LiveFile", "RunFiles", "read_run_files"]

_REMAKE = "edgekit measure ENGINE... --out FILE.latency.json"
_OURS = (".latency.json", ".accuracy.json", ".comparison.json", ".live.json", ".calibration.json")
"""In a folder, only files that are called like this must be readable."""


@dataclass(frozen=True)
class BuiltEngine:
    """An engine's manifest; `bytes` is None when the engine itself is elsewhere."""

    path: Path
    manifest: Manifest
    bytes: int | None


@dataclass(frozen=True)
class LiveFile:
    """A live run and the machine it ran on."""

    run: LiveRun
    conditions: dict[str, Any]
    capture_to_result_ms: tuple[float, ...] = ()
    """Of every frame, in order; empty where the file holds percentiles only."""


@dataclass
class RunFiles:
    """Everything that was found, in the order of the files' names."""

    engines: list[BuiltEngine] = field(default_factory=list)
    latencies: list[Latency] = field(default_factory=list)
    accuracies: list[Accuracy] = field(default_factory=list)
    comparisons: list[Paired] = field(default_factory=list)
    live: list[LiveFile] = field(default_factory=list)
    tables: list[tuple[Path, CalibrationTable]] = field(default_factory=list)
    sources: list[SourceFile] = field(default_factory=list)


def read_run_files(paths: Sequence[Path]) -> RunFiles:
    """Return what the files and folders hold.

    In a folder (and those below it) JSON of other programs is passed over; a file that is named
    must be one of ours. Raises InputError for a file that is missing, cut off, damaged, from a
    newer Edgekit or there twice, StaleError for an engine that is not the one its manifest
    describes, and calibration.CalibrationError.
    """
    found = RunFiles()
    seen: dict[str, Path] = {}
    for path, named in _files(paths):
        if not _read_into(found, path):
            if named:
                raise InputError(
                    f"{path} is not a file that a report can be made from.", next_command=_REMAKE
                )
            continue
        digest = digest_of_file(path)
        if digest in seen:
            raise InputError(
                f"{seen[digest]} and {path} hold the same run: it would be counted twice.",
                next_command=f"rm {quoted(path)}",
            )
        seen[digest] = path
        found.sources.append(SourceFile(str(path), digest))
    return found


def _files(paths: Sequence[Path]) -> Iterator[tuple[Path, bool]]:
    """Yield each JSON file once, and whether it was named."""
    given = set()
    for path in paths:
        if path.is_dir():
            inside = sorted(p for p in path.rglob("*.json") if p.is_file())
            listed = [(p, False) for p in inside if not _hidden(p.relative_to(path))]
        elif path.exists():
            listed = [(path if path.suffix == ".json" else _manifest_of(path), True)]
        else:
            raise InputError(f"{path} does not exist.", next_command=f"ls -l {quoted(path.parent)}")
        for file, named in listed:
            if file.resolve() not in given:
                given.add(file.resolve())
                yield file, named


def _manifest_of(path: Path) -> Path:
    """Return the manifest of `path`: an engine may be named in its place."""
    manifest = manifest_path(path)
    if not manifest.exists():
        raise InputError(
            f"{path} is neither a file of a run nor an engine with its manifest ({manifest.name}).",
            next_command=_REMAKE,
        )
    return manifest


def _hidden(path: Path) -> bool:
    return any(part.startswith(".") for part in path.parts)  # half-written files, .git


def _read_into(found: RunFiles, path: Path) -> bool:
    """Read `path` into `found`; return False when it is not one of our files."""
    ours = path.name.endswith(_OURS)
    values = _object(path, must=ours)
    kind = values.get("kind")
    if kind == "edgekit latency":
        found.latencies.extend(read_latency(path))
    elif kind == "edgekit accuracy":
        found.accuracies.append(read_accuracy(path))
    elif kind == "edgekit comparison":
        remake = "edgekit compare A B --images DIR"
        record = read_record(path, kind="edgekit comparison", version=1, remake=remake)
        found.comparisons.append(paired_from_dict(record, where=path))
    elif values.keys() >= LIVE_KEYS:
        conditions = values.get("conditions")
        machine = conditions if isinstance(conditions, dict) else {}
        run, samples = live_from_dict(values, where=path), live_samples(values, where=path)
        found.live.append(LiveFile(run, machine, samples))
    elif "ranges" in values and "method" in values:
        text = path.read_text(encoding="utf-8")
        found.tables.append((path, table_from_json(text, where=str(path))))
    elif "engine_digest" in values:
        found.engines.append(_engine(path, values))
    elif ours:
        raise damaged(path, f"it holds {kind or 'something else'}", remake=_REMAKE)
    else:
        return False
    return True


def _object(path: Path, *, must: bool) -> dict[str, Any]:
    """Return the JSON object in `path`, or an empty one for what need not (`must`) be ours."""
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise InputError(
            f"{path} cannot be read: {error.strerror or error}.",
            next_command=f"ls -l {quoted(path)}",
        ) from error
    except (ValueError, RecursionError) as error:
        if must or _is_manifest(path):
            raise InputError(
                f"{path} is not JSON, or was cut off ({error}).", next_command=_REMAKE
            ) from error
        return {}
    return values if isinstance(values, dict) else {}


def _is_manifest(path: Path) -> bool:
    return path.with_suffix("").suffix in (".engine", ".onnx", ".plan")


def _engine(path: Path, values: dict[str, Any]) -> BuiltEngine:
    engine = path.with_name(path.name.removesuffix(".json"))
    if engine.is_file():
        return BuiltEngine(engine, open_engine_file(engine).manifest, engine.stat().st_size)
    # Only the manifest came along, as when a report is written on another machine.
    try:
        manifest = manifest_from_dict(values)
    except TypeError as error:
        remake = f"edgekit build MODEL.onnx --target NAME --out {quoted(engine)}"
        raise damaged(path, str(error), remake=remake) from error
    return BuiltEngine(engine, manifest, None)
