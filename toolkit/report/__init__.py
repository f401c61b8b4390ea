"""One self-contained page that says which engine to choose, and what stands behind that."""

from __future__ import annotations

from toolkit.report.evidence import report_input_from_files
from toolkit.report.model import (
    BUILT_ONLY,
    MEASURED_HERE,
    SCORED_ONLY,
    CalibrationUsed,
    ConditionsOf,
    Flip,
    FlipSet,
    LiveRun,
    Percentiles,
    ReportInput,
    ReportRow,
    SourceFile,
)
from toolkit.report.writing import Report, report

__all__ = [
    "BUILT_ONLY",
    "MEASURED_HERE",
    "SCORED_ONLY",
    "CalibrationUsed",
    "ConditionsOf",
    "Flip",
    "FlipSet",
    "LiveRun",
    "Percentiles",
    "Report",
    "ReportInput",
    "ReportRow",
    "SourceFile",
    "report",
    "report_input_from_files",
]
