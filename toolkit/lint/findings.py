"""What lint says about a graph: findings, the layers, and the verdict."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

__all__ = [
    "FLOAT",
    "NO_EFFECT",
    "REFUSED",
    "WRONG",
    "Finding",
    "Layer",
    "LintReport",
    "advice",
    "in_float",
    "refused",
    "remark",
    "wrong",
]

REFUSED, WRONG, FLOAT, NO_EFFECT = "refused", "wrong results", "float", "none"


@dataclass(frozen=True)
class Finding:
    """One thing a rule found. `node` is a node's name, or "" for the whole graph.

    `effect`: REFUSED (no engine comes out), WRONG (it runs and answers wrongly), FLOAT (the layer
    `node` does not run in INT8) or NO_EFFECT on either.
    """

    severity: str
    """"error", "warning" or "note"."""
    node: str
    message: str
    fix: str
    effect: str = NO_EFFECT
    rule: str = ""
    """The key of RULES; whoever runs the rule fills it in."""

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON values."""
        return {
            "rule": self.rule,
            "severity": self.severity,
            "effect": self.effect,
            "node": self.node,
            "message": self.message,
            "fix": self.fix,
        }

    def line(self) -> str:
        """Return the finding for people, with its fix."""
        where = f" {self.node}:" if self.node else ""
        return f"{self.severity:7} {self.rule}:{where} {self.message} Fix: {self.fix}"


def refused(node: str, message: str, fix: str) -> Finding:
    """Return the finding that there will be no engine."""
    return Finding("error", node, message, fix, REFUSED)


def wrong(node: str, message: str, fix: str) -> Finding:
    """Return the finding that the engine will answer wrongly."""
    return Finding("error", node, message, fix, WRONG)


def in_float(node: str, message: str, fix: str, *, severity: str = "warning") -> Finding:
    """Return the finding that the layer `node` will run in float."""
    return Finding(severity, node, message, fix, FLOAT)


def advice(node: str, message: str, fix: str) -> Finding:
    """Return a finding that costs speed or accuracy, but changes no layer's type."""
    return Finding("warning", node, message, fix)


def remark(node: str, message: str, fix: str) -> Finding:
    """Return a finding to know about."""
    return Finding("note", node, message, fix)


@dataclass(frozen=True)
class Layer:
    """A Conv, ConvTranspose, Gemm or MatMul, and what it will run in."""

    node: str
    operator: str
    precision: str
    """"int8" or "float"."""
    reason: str
    """Why it runs in float; "" in INT8."""


@dataclass(frozen=True)
class LintReport:
    """The verdict on one graph for one runtime.

    `accepted`: an engine will come out. `passed` also asks that it will answer rightly.
    """

    model: Path
    runtime: str
    target: str
    findings: tuple[Finding, ...]
    layers: tuple[Layer, ...]

    @property
    def accepted(self) -> bool:
        """Return whether the runtime will take the graph."""
        return all(finding.effect != REFUSED for finding in self.findings)

    @property
    def passed(self) -> bool:
        """Return whether the verdict is yes: no finding is an error."""
        return all(finding.severity != "error" for finding in self.findings)

    @property
    def int8_layers(self) -> tuple[str, ...]:
        """Return the layers that will run in INT8, once nothing is refused any more."""
        return tuple(layer.node for layer in self.layers if layer.precision == "int8")

    def count(self, severity: str) -> int:
        """Return how many findings have this severity."""
        return sum(finding.severity == severity for finding in self.findings)

    def line(self) -> str:
        """Return the verdict in one line."""
        found = self._counts()
        if not self.accepted:
            return f"{self.model}  {self.runtime} refuses it: {found}"
        verdict = "" if self.passed else ", but would answer wrongly"
        return (
            f"{self.model}  {self.runtime} accepts it{verdict}: {len(self.int8_layers)} of "
            f"{len(self.layers)} layers in INT8; {found}"
        )

    def _counts(self) -> str:
        counts = {severity: self.count(severity) for severity in ("error", "warning", "note")}
        words = [f"{n} {word}{'s' if n != 1 else ''}" for word, n in counts.items() if n]
        return ", ".join(words) or "no findings"

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON values."""
        return {
            "model": str(self.model),
            "runtime": self.runtime,
            "target": self.target,
            "accepted": self.accepted,
            "verdict": "yes" if self.passed else "no",
            "int8_layers": len(self.int8_layers),
            "float_layers": len(self.layers) - len(self.int8_layers),
            "errors": self.count("error"),
            "warnings": self.count("warning"),
            "notes": self.count("note"),
            "layers": [
                {
                    "node": layer.node,
                    "operator": layer.operator,
                    "precision": layer.precision,
                    "reason": layer.reason,
                }
                for layer in self.layers
            ],
            "findings": [finding.to_dict() for finding in self.findings],
        }
