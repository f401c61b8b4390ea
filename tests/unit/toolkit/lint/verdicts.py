"""What lint says about a graph made in a test."""

from __future__ import annotations

from pathlib import Path

import onnx

from tests.contracts.lint_graphs import GRAPHS, Case
from toolkit.lint.engine import examine
from toolkit.lint.findings import LintReport
from toolkit.lint.runtimes import RUNTIMES
from toolkit.lint.subject import subject_of

__all__ = ["case", "effects", "report_on"]

WHERE = Path("graph.onnx")


def case(name: str) -> Case:
    """Return one of the graphs of the contract tests."""
    return next(entry for entry in GRAPHS if entry.name == name)


def report_on(model: onnx.ModelProto, runtime: str) -> LintReport:
    """Return the verdict on a model in memory."""
    subject = subject_of(model, where=WHERE)
    return examine(subject, RUNTIMES[runtime], model=WHERE, target="")


def effects(report: LintReport) -> set[tuple[str, str]]:
    """Return the rules that spoke, with the effect of each."""
    return {(finding.rule, finding.effect) for finding in report.findings}
