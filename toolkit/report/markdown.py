"""The report as Markdown, for a pull request or a terminal; the figures of the page, no plots."""

from __future__ import annotations

import html
import re
from collections.abc import Iterable, Sequence

from toolkit.report.findings import findings
from toolkit.report.markup import visible
from toolkit.report.model import (
    CalibrationUsed,
    FlipSet,
    LiveRun,
    Percentiles,
    ReportInput,
    ReportRow,
    RobustnessOf,
)
from toolkit.report.robustness import corruption_gap_rows
from toolkit.report.words import (
    by_target,
    drop,
    energy_notes,
    file_size,
    millijoules,
    milliseconds,
    percent,
    plural,
    span,
    tail,
)

__all__ = ["markdown_from_report", "markdown_table", "plain_markdown"]

_SPECIAL = re.compile(r"([\\`*_\[\]|~])")
_HEAD = (
    *("Target", "Precision", "Engine", "Top-1, %", "Drop, points", "p50, ms", "p95, ms"),
    *("p99, ms", "Energy, mJ", "File", "Status"),
)


def markdown_from_report(report: ReportInput) -> str:
    """Return the text of `report.md`."""
    parts = [f"# {plain_markdown(report.title)}"]
    parts += [
        f"**{plain_markdown(finding.subject)}:** {plain_markdown(finding.text)}"
        for finding in findings(report)
    ]
    facts = [("Measured on", report.made_on), ("Day", report.day), ("Scored on", report.images)]
    parts += ["\n".join(f"- {key}: {plain_markdown(value)}" for key, value in facts if value)]
    parts += ["## Engines", markdown_table(_HEAD, map(_row, _in_order(report.rows)))]
    parts += [f"- {plain_markdown(note)}" for note in (*energy_notes(report), *report.notes)]
    parts += [_live(run) for run in report.live]
    parts += [_robustness(one) for one in report.robustness]
    parts += [_flips(one) for one in report.flips]
    parts += [_calibration(one) for one in report.calibrations]
    parts += [
        f"## Conditions: {plain_markdown(', '.join(one.names))}\n\n"
        + markdown_table(("Condition", "Value"), one.values)
        for one in report.conditions
    ]
    parts += _reproduce(report)
    return "\n\n".join(part for part in parts if part) + "\n"


def _in_order(rows: Sequence[ReportRow]) -> list[ReportRow]:
    return [row for _, members in by_target(rows) for row in members]


def _row(row: ReportRow) -> tuple[str, ...]:
    status = "; ".join(part for part in (row.status, row.accuracy_of, row.note) if part)
    return (
        row.target,
        f"{row.precision} UNCALIBRATED" if row.uncalibrated else row.precision,
        row.engine,
        _with(percent(row.top1, images=row.images), span(row.top1_interval, factor=100.0)),
        _with(drop(row.drop_points), span(row.drop_interval, digits=2)),
        _with(milliseconds(row.p50_ms), span(row.p50_interval, digits=2)),
        tail(row.p95_ms, 95, samples=row.timed),
        tail(row.p99_ms, 99, samples=row.timed),
        _with(millijoules(row.mj), span(row.mj_interval, digits=2)),
        file_size(row.bytes),
        status,
    )


def _with(figure: str, interval: str) -> str:
    return f"{figure} ({interval})" if interval else figure


def _live(run: LiveRun) -> str:
    rows = [*run.stages_ms, ("capture to result", run.capture_to_result_ms)]
    if run.frame_age_ms is not None:
        rows.append(("frame age at inference", run.frame_age_ms))
    fps = f"{run.fps:.1f} fps" if run.fps is not None else "throughput unknown"
    doubt = "? (ages start when the frame was read)" if run.age_is_weak else ""
    about = (
        f"{plural(run.frames, 'frame')} from {run.camera}, policy {run.policy}, "
        f"{run.dropped} dropped, {fps}, timestamps from {run.timestamp_origin or 'unknown'}{doubt}."
    )
    cells = [(name, *_percentiles(times, run.timed)) for name, times in rows]
    table = markdown_table(("Stage", "p50, ms", "p95, ms", "p99, ms"), cells)
    return f"## Live run: {plain_markdown(run.engine)}\n\n{plain_markdown(about)}\n\n{table}"


def _percentiles(times: Percentiles, samples: int) -> tuple[str, str, str]:
    return (
        tail(times.p50, 50, samples=samples),
        tail(times.p95, 95, samples=samples),
        tail(times.p99, 99, samples=samples),
    )


def _flips(one: FlipSet) -> str:
    said = (
        f"{plural(one.total, 'flip')} of {plural(one.images, 'image')}: {one.lost} lost, "
        f"{one.gained} gained."
    )
    table = markdown_table(
        ("Image", "Truth", "Before", "After"),
        [(flip.image, flip.truth, flip.before, flip.after) for flip in one.flips],
    )
    title = f"## Flips: {plain_markdown(one.before)} → {plain_markdown(one.after)}"
    return "\n\n".join([title, said, *([table] if one.flips else [])])


def _robustness(one: RobustnessOf) -> str:
    said = (
        f"Over all corruptions at five severities, {plural(one.images, 'image')}: gap "
        f"{drop(one.gap)} points ({span(one.gap_interval, digits=2)}), {drop(one.added)} more than "
        f"on clean pictures ({span(one.added_interval, digits=2)})."
    )
    head = ("Corruption", "Top-1 at 5, %", "Gap at 5, points", "Mean gap, points")
    title = f"## Corrupted pictures: {plain_markdown(' → '.join(one.names))}"
    return f"{title}\n\n{said}\n\n{markdown_table(head, corruption_gap_rows(one))}"


def _calibration(one: CalibrationUsed) -> str:
    stamp = "**UNCALIBRATED: ranges come from random data.** " if one.uncalibrated else ""
    facts = (
        f"{one.method}, {plural(one.samples, 'sample')}, seed {one.seed}, images digest "
        f"{one.images_digest[:16] or 'none'}, scheme {one.scheme or 'unknown'}."
    )
    notes = "".join(f"\n- {plain_markdown(note)}" for note in one.notes)
    return f"## Calibration: {plain_markdown(one.name)}\n\n{stamp}{plain_markdown(facts)}{notes}"


def _reproduce(report: ReportInput) -> list[str]:
    parts = []
    if report.commands:
        # Indented code has no fence that a command could close.
        code = "\n".join(f"    {visible(line)}" for line in "\n".join(report.commands).splitlines())
        parts += ["## How to reproduce", code]
    if report.sources:
        rows = [(source.path, source.digest) for source in report.sources]
        parts.append(markdown_table(("File", "SHA-256"), rows))
    return parts


def markdown_table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return a table whose cells are shown as they are."""
    lines = [head, ["---"] * len(head)]
    text = [" | ".join(lines[0]), " | ".join(lines[1])]
    text += [" | ".join(plain_markdown(cell) for cell in row) for row in rows]
    return "\n".join(f"| {line} |" for line in text)


def plain_markdown(text: str) -> str:
    """Return `text` so that Markdown shows it as it is, on one line."""
    flat = " ".join(visible(text).split())
    return _SPECIAL.sub(r"\\\1", html.escape(flat, quote=False))
