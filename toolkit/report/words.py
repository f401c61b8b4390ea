"""Numbers as the report prints them; a number that cannot be trusted says so."""

from __future__ import annotations

import math
import os.path
from collections.abc import Sequence

from toolkit.report.model import ReportInput, ReportRow, Span
from toolkit.statistics import trusted

__all__ = [
    "NOTHING",
    "by_target",
    "drop",
    "energy_notes",
    "file_size",
    "millijoules",
    "milliseconds",
    "percent",
    "plural",
    "short_names",
    "span",
    "tail",
]

NOTHING = "–"
"""Stands for what was not measured."""

_PRECISIONS = ("fp32", "fp16", "int8")


def milliseconds(value: float | None) -> str:
    """Return three significant digits, without the unit."""
    if value is None or not math.isfinite(value):
        return NOTHING
    digits = 0 if value >= 100 else 1 if value >= 10 else 2 if value >= 1 else 3
    return f"{value:.{digits}f}"


def millijoules(value: float | None) -> str:
    """Return three significant digits with a true minus sign, without the unit."""
    if value is None or not math.isfinite(value):
        return NOTHING
    return f"{value:.3g}".replace("-", "\u2212")


def tail(value: float | None, q: float, *, samples: int) -> str:
    """Return the q-th percentile with `?` when fewer than ten of `samples` lie beyond it."""
    text = milliseconds(value)
    return text if text == NOTHING or trusted(samples, q) else f"{text}?"


def percent(fraction: float | None, *, images: int = 0) -> str:
    """Return a fraction in per cent, with the digits that `images` can carry, without the sign."""
    if fraction is None or not math.isfinite(fraction):
        return NOTHING
    return f"{100.0 * fraction:.{2 if images >= 5000 else 1}f}"


def drop(points: float | None) -> str:
    """Return percentage points with a true minus sign."""
    if points is None or not math.isfinite(points):
        return NOTHING
    text = f"{points:.2f}"
    return "0.00" if text == "-0.00" else text.replace("-", "\u2212")


def span(ends: Span | None, *, factor: float = 1.0, digits: int = 1) -> str:
    """Return `low to high`; an end that the samples could not bound is an ellipsis."""
    if ends is None:
        return ""
    low, high = (
        "…" if end is None else f"{end * factor:.{digits}f}".replace("-", "\u2212") for end in ends
    )
    return f"{low} to {high}"


def energy_notes(report: ReportInput) -> list[str]:
    """Return what the energies of the rows are of; nothing where none was measured."""
    sources = dict.fromkeys(row.energy_of for row in report.rows if row.energy_of)
    return [f"Energy is that of one inference above idle, measured on: {each}." for each in sources]


def file_size(count: int | None) -> str:
    """Return bytes in the unit that leaves one to four digits."""
    if count is None:
        return NOTHING
    if count >= 1 << 20:
        return f"{count / (1 << 20):.1f} MiB"
    return f"{count / 1024:.0f} KiB" if count >= 1024 else f"{count} B"


def plural(count: int, noun: str) -> str:
    """Return `1 image` or `1 200 images`."""
    grouped = f"{count:,}".replace(",", "\u202f")
    return f"{grouped} {noun}" if count == 1 else f"{grouped} {noun}s"


def short_names(rows: Sequence[ReportRow]) -> dict[str, str]:
    """Return the shortest name that tells each engine file from the others.

    Dot-separated parts that all files share are dropped; the precision stays, it is what a reader
    looks for: `a.fp32.cpu.onnx` and
    `a.int8.cpu.onnx` become `fp32` and `int8`.
    """
    parts = {row.engine: os.path.basename(row.engine).split(".") for row in rows}  # noqa: PTH119
    shared = set.intersection(*(set(names) for names in parts.values())) if parts else set()
    dropped = (shared | {"engine", "onnx"}) - set(_PRECISIONS)
    short = {}
    for row in rows:
        kept = [part for part in parts[row.engine] if part not in dropped]
        if not any(part.startswith(row.precision) for part in kept):
            kept.append(row.precision)
        short[row.engine] = ".".join(kept)
    return short if len(set(short.values())) == len(short) else {name: name for name in parts}


def by_target(rows: Sequence[ReportRow]) -> list[tuple[tuple[str, str], list[ReportRow]]]:
    """Return the rows by (model, target): measured targets first, float before INT8."""
    groups: dict[tuple[str, str], list[ReportRow]] = {}
    for row in rows:
        groups.setdefault((row.model, row.target), []).append(row)
    models = list(dict.fromkeys(row.model for row in rows))

    def place(entry: tuple[tuple[str, str], list[ReportRow]]) -> tuple[int, bool, str]:
        (model, target), members = entry
        return models.index(model), not any(row.has_latency for row in members), target

    for members in groups.values():
        members.sort(key=lambda row: (_rank(row.precision), row.engine))
    return sorted(groups.items(), key=place)


def _rank(precision: str) -> int:
    return _PRECISIONS.index(precision) if precision in _PRECISIONS else len(_PRECISIONS)
