"""From run files to a report: what was built, measured, scored and calibrated, put together."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from calibration.table import CalibrationTable
from targets import Conditions, read_conditions
from toolkit.latency import Latency
from toolkit.report.classes import classes_of
from toolkit.report.commands import commands_from_runs
from toolkit.report.gallery import flip_sets
from toolkit.report.model import MEASURED_HERE, CalibrationUsed, ReportInput, ReportRow
from toolkit.report.paired import Paired
from toolkit.report.robustness import robustness_from_runs
from toolkit.report.rows import rows_from_runs
from toolkit.report.run_files import RunFiles, read_run_files
from toolkit.report.scores import Scores, scores_from_runs
from toolkit.report.surroundings import conditions_from_runs, machine_line, same_machine
from toolkit.report.words import plural

__all__ = ["report_input_from_files"]


def report_input_from_files(
    runs: Sequence[Path], *, title: str | None = None, here: Conditions | None = None
) -> ReportInput:
    """Return what the JSON files in `runs` (files or folders) allow one to report.

    `here` is this machine, for "measured here". Raises InputError for files that are missing, cut
    off, from a newer Edgekit or that contradict each other, StaleError for an engine that is not
    the one its manifest describes, and calibration.CalibrationError for a damaged table.
    """
    found = read_run_files(runs)
    scores = scores_from_runs(found)
    this_machine = asdict(here or read_conditions())

    def measured_where(latency: Latency) -> str:
        if same_machine(latency.conditions, this_machine):
            return MEASURED_HERE
        conditions = latency.conditions
        name = conditions.get("gpu") or conditions.get("machine") or conditions.get("cpu_model")
        return f"measured on {name or 'another machine'}"

    rows = rows_from_runs(found, scores, measured_where=measured_where)
    folders = {path if path.is_dir() else path.parent for path in runs}
    return ReportInput(
        title=title or _title(rows),
        rows=rows,
        live=tuple(file.run for file in found.live),
        classes=tuple(map(classes_of, found.accuracies)),
        conditions=conditions_from_runs(found),
        calibrations=tuple(_calibration(path, table) for path, table in found.tables),
        flips=flip_sets(_shown_pairs(found, scores), _names(found), beside=sorted(folders)),
        robustness=robustness_from_runs(found),
        commands=commands_from_runs(found),
        made_on=_made_on(found),
        day=_day(found),
        images=_images(found),
        notes=_notes(found),
        sources=tuple(found.sources),
    )


def _title(rows: Sequence[ReportRow]) -> str:
    models = list(dict.fromkeys(row.model for row in rows if row.model))
    precisions = list(dict.fromkeys(row.precision for row in rows))
    return f"{' and '.join(models) or 'Engines'}: {', '.join(precisions)}"


def _calibration(path: Path, table: CalibrationTable) -> CalibrationUsed:
    method = table.method
    if method == "auto":
        chosen = Counter(entry.method for entry in table.ranges.values())
        method = f"auto ({', '.join(f'{count} {name}' for name, count in chosen.most_common())})"
    digests = "\n".join(sorted(table.images)).encode("utf-8")
    return CalibrationUsed(
        name=path.name,
        method=method,
        samples=table.samples,
        seed=table.seed,
        images_digest=hashlib.sha256(digests).hexdigest() if table.images else "",
        scheme=table.scheme,
        effort=table.effort,
        table_digest=table.digest,
        uncalibrated=table.uncalibrated,
        notes=table.notes,
    )


def _shown_pairs(found: RunFiles, scores: Scores) -> list[Paired]:
    """Return the comparisons that were asked for, else those behind the drops in the table."""
    if found.comparisons:
        return found.comparisons
    pairs = [scores.drop_of(accuracy.digest) for accuracy in found.accuracies]
    return [pair for pair in pairs if pair is not None]


def _names(found: RunFiles) -> dict[str, str]:
    return {each.manifest.engine_digest: each.path.name for each in found.engines}


def _made_on(found: RunFiles) -> str:
    lines = [machine_line(latency.conditions) for latency in found.latencies]
    return "; ".join(dict.fromkeys(line for line in lines if line))


def _day(found: RunFiles) -> str:
    times = [str(each.conditions.get("taken_at") or "") for each in found.latencies]
    return ", ".join(dict.fromkeys(time.partition("T")[0] for time in times if time))


def _images(found: RunFiles) -> str:
    sets = [(accuracy.n, accuracy.images) for accuracy in found.accuracies]
    sets += [(paired.n, paired.images) for paired in found.comparisons]
    return "; ".join(f"{plural(n, 'image')} in {where}" for n, where in dict.fromkeys(sets))


def _notes(found: RunFiles) -> tuple[str, ...]:
    """Return one line per file with everything that its commands wanted to be known."""
    notes: dict[str, dict[str, None]] = {}
    for latency in found.latencies:
        said = [*latency.notes, *latency.unstable]
        if latency.backend == "fake":
            said.append("its latency is that of the fake backend, and not shown")
        notes.setdefault(Path(latency.engine).name, {}).update(dict.fromkeys(said))
    for accuracy in found.accuracies:
        notes.setdefault(Path(accuracy.model).name, {}).update(dict.fromkeys(accuracy.notes))
    for paired in found.comparisons:
        notes.setdefault(Path(paired.after).name, {}).update(dict.fromkeys(paired.notes))
    return tuple(f"{name}: {'; '.join(said)}." for name, said in notes.items() if said)
