"""Findings as SARIF 2.1.0, the format in which code hosts show what a checker found."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any
from urllib.parse import quote

import toolkit
from toolkit.atomic import write_text
from toolkit.lint.engine import RULES
from toolkit.lint.findings import Finding, LintReport

__all__ = ["sarif_of", "write_sarif"]

_SCHEMA = "https://json.schemastore.org/sarif-2.1.0.json"


def write_sarif(path: Path, report: LintReport) -> None:
    """Write the findings of `report` to `path`. Raises MachineError when it cannot be written."""
    write_text(path, json.dumps(sarif_of(report), indent=2, ensure_ascii=False) + "\n")


def sarif_of(report: LintReport) -> dict[str, Any]:
    """Return the SARIF log of one run: a result per finding, located by its node's name."""
    rules = [
        {"id": name, "shortDescription": {"text": rule.summary}} for name, rule in RULES.items()
    ]
    driver = {"name": "edgekit lint", "version": toolkit.__version__, "rules": rules}
    run = {
        "tool": {"driver": driver},
        "columnKind": "unicodeCodePoints",
        "results": [_result(finding, report.model) for finding in report.findings],
        "properties": {"runtime": report.runtime, "target": report.target},
    }
    return {"$schema": _SCHEMA, "version": "2.1.0", "runs": [run]}


def _result(finding: Finding, model: Path) -> dict[str, Any]:
    location: dict[str, Any] = {
        "physicalLocation": {"artifactLocation": {"uri": _uri(model)}},
    }
    if finding.node:
        location["logicalLocations"] = [{"name": finding.node, "kind": "element"}]
    return {
        "ruleId": finding.rule,
        "ruleIndex": list(RULES).index(finding.rule),
        "level": finding.severity,
        "message": {
            "text": f"{finding.node}: {_text(finding)}" if finding.node else _text(finding)
        },
        "locations": [location],
        "properties": {"effect": finding.effect},
    }


def _text(finding: Finding) -> str:
    return f"{finding.message} Fix: {finding.fix}"


def _uri(model: Path) -> str:
    """Return a relative path as it is, an absolute one as a file URI, both percent-encoded."""
    return model.as_uri() if model.is_absolute() else quote(model.as_posix())
