"""`report`: the page, the JSON and the Markdown, written side by side."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from toolkit.atomic import replace_file
from toolkit.errors import InputError
from toolkit.report.findings import findings
from toolkit.report.markdown import markdown_from_report
from toolkit.report.model import ReportInput, ReportRow
from toolkit.report.page import html_from_report
from toolkit.shell import quoted

__all__ = ["REPORT_VERSION", "Report", "report"]

REPORT_VERSION = 1
"""Of `report.json`: keys may be added, not renamed."""


@dataclass(frozen=True)
class Report:
    """The three files of one report, and the rows that stand in them."""

    html: Path
    json: Path
    markdown: Path
    table: tuple[ReportRow, ...]
    bytes: int
    """Size of the page."""

    @property
    def rows(self) -> int:
        """Return how many engines the report compares."""
        return len(self.table)

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON values."""
        return {
            "report": str(self.html),
            "json": str(self.json),
            "markdown": str(self.markdown),
            "bytes": self.bytes,
            "rows": [_short(row) for row in self.table],
        }


def report(made: ReportInput, *, out: Path) -> Report:
    """Write `out` (HTML, needs no other file), and beside it the same figures as .json and .md.

    Each file is written atomically, the page last. Raises InputError when there is nothing to
    report, MachineError when the disk is full or the folder cannot be written.
    """
    if not made.rows:
        raise InputError(
            f"There is nothing to report for {out}: no engine was built, scored or measured.",
            next_command="edgekit measure ENGINE...   (then: edgekit report DIR)",
        )
    _check_names(made.rows)
    if out.suffix.lower() not in (".html", ".htm"):
        raise InputError(
            f"A report is an HTML page; {out.name} does not end in .html.",
            next_command=f"edgekit report DIR --out {quoted(out.with_suffix('.html'))}",
        )
    page = _bytes(html_from_report(made))
    beside = out.with_suffix(".json"), out.with_suffix(".md")
    text = json.dumps(_values(made), indent=1, sort_keys=True, allow_nan=False)
    contents = (_bytes(text + "\n"), _bytes(markdown_from_report(made)), page)
    with ExitStack() as stack:  # all are complete before any gets its name
        for path, content in zip((*beside, out), contents, strict=True):
            stack.enter_context(replace_file(path)).write_bytes(content)
    return Report(out, *beside, table=made.rows, bytes=len(page))


def _check_names(rows: Sequence[ReportRow]) -> None:
    seen: set[str] = set()
    for row in rows:
        if row.engine in seen:
            raise InputError(
                f"Two rows of the report are called {row.engine}: they cannot be told apart.",
                next_command="edgekit report DIR --out report.html   (with one run per engine)",
            )
        seen.add(row.engine)


def _values(made: ReportInput) -> dict[str, Any]:
    """Return the report without raw samples and thumbnails: the run files hold these."""
    values = asdict(made)
    for row in values["rows"]:
        row["samples"] = row["samples"] or len(row["latency_samples"])
        del row["latency_samples"]
    for one in values["flips"]:
        for flip in one["flips"]:
            del flip["thumbnail"]
    said = [asdict(finding) for finding in findings(made)]
    whole = {"version": REPORT_VERSION, "kind": "report", "findings": said, **values}
    return {key: _finite(value) for key, value in whole.items()}


def _finite(value: Any) -> Any:
    """Return `value` with null for what JSON cannot say: infinity and not-a-number."""
    if isinstance(value, dict):
        return {key: _finite(entry) for key, entry in value.items()}
    if isinstance(value, (list, tuple)):
        return [_finite(entry) for entry in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _short(row: ReportRow) -> dict[str, Any]:
    return {
        "target": row.target,
        "precision": row.precision,
        "engine": row.engine,
        "top1": row.top1,
        "p50_ms": row.p50_ms,
        "p99_ms": row.p99_ms,
        "bytes": row.bytes,
        "status": row.status,
    }


def _bytes(text: str) -> bytes:
    return text.encode("utf-8", "backslashreplace")  # file names need not be UTF-8
