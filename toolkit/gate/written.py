"""A gate's verdict as JUnit XML, which CI servers show, and as Markdown for a pull request."""

from __future__ import annotations

from pathlib import Path
from xml.etree import ElementTree

from toolkit.atomic import write_text
from toolkit.gate.verdict import Check, GateResult
from toolkit.report.markdown import markdown_table, plain_markdown
from toolkit.report.markup import visible

__all__ = ["junit_from_gate", "markdown_from_gate", "write_gate"]


def write_gate(result: GateResult, *, junit: Path | None, markdown: Path | None) -> None:
    """Write the verdict to the files that are named, each atomically."""
    if junit is not None:
        write_text(junit, junit_from_gate(result))
    if markdown is not None:
        write_text(markdown, markdown_from_gate(result))


def junit_from_gate(result: GateResult) -> str:
    """Return JUnit XML: a test case per check; an undecided one fails, too."""
    failed = [check for check in result.checks if not check.passed]
    suite = ElementTree.Element(
        "testsuite",
        name="edgekit gate",
        tests=str(len(result.checks)),
        failures=str(len(failed)),
        errors="0",
        skipped="0",
    )
    for check in result.checks:
        case = ElementTree.SubElement(
            suite,
            "testcase",
            classname=visible(result.engine),
            name=visible(f"{check.name} <= {check.limit:g} {check.unit}"),
        )
        said = visible(" ".join(check.line().split()))
        if check.passed:
            ElementTree.SubElement(case, "system-out").text = said
        else:
            ElementTree.SubElement(case, "failure", type=check.verdict, message=said)
    text = ElementTree.tostring(suite, encoding="unicode")
    return f'<?xml version="1.0" encoding="UTF-8"?>\n{text}\n'


def markdown_from_gate(result: GateResult) -> str:
    """Return a heading with the verdict and a table of the checks."""
    head = ("Check", "Limit", "Found", "Bound", "Verdict", "Evidence")
    parts = [
        f"## Gate: {plain_markdown(result.engine)}: {result.verdict}",
        f"One-sided bounds at {100.0 * result.confidence:g} % confidence; undecided does not pass.",
        markdown_table(head, map(_row, result.checks)),
        *(f"- {plain_markdown(note)}" for note in result.notes),
    ]
    return "\n\n".join(parts) + "\n"


def _row(check: Check) -> tuple[str, ...]:
    return (
        check.name,
        f"{check.limit:g} {check.unit}",
        "–" if check.value is None else f"{check.value:.3g}",
        "–" if check.bound is None else f"{check.bound:.3g}",
        check.verdict,
        "; ".join(part for part in (check.evidence, check.needed) if part),
    )
