"""What a gate says: one check per limit and piece of evidence, and the verdict over all of them."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

__all__ = ["MET", "NOT_MET", "UNDECIDED", "Check", "GateResult"]

MET = "met"
NOT_MET = "not met"
UNDECIDED = "undecided"


@dataclass(frozen=True)
class Check:
    """One limit held against one piece of evidence.

    `value` is the estimate and `bound` the one-sided bound that decided (the upper one unless it
    is not met); both are in `unit`, and None where nothing was measured.
    """

    name: str
    limit: float
    unit: str
    verdict: str
    value: float | None = None
    bound: float | None = None
    evidence: str = ""
    """What the value was counted or timed on."""
    needed: str = ""
    """For an undecided check: how much evidence would decide, or the command that measures it."""

    @property
    def passed(self) -> bool:
        """Return whether the limit is met; an undecided one is not."""
        return self.verdict == MET

    def line(self) -> str:
        """Return the check as one line."""
        if self.value is None:
            return f"{self.verdict:9}  {self.name} <= {self.limit:g} {self.unit}: {self.needed}"
        side = "at least" if self.verdict == NOT_MET else "at most"
        sure = f", {side} {self.bound:.3g}" if self.bound is not None else ""
        open_end = ", not bounded" if self.bound is None and self.verdict == UNDECIDED else ""
        said = f"{self.name} {self.value:.3g} {self.unit}{sure}{open_end} (limit {self.limit:g})"
        more = f"; {self.needed}" if self.needed else ""
        return f"{self.verdict:9}  {said}  {self.evidence}{more}"


@dataclass(frozen=True)
class GateResult:
    """Every check of one engine. `confidence` is that of each one-sided bound, a fraction."""

    engine: str
    digest: str
    confidence: float
    checks: tuple[Check, ...]
    notes: tuple[str, ...] = ()

    @property
    def verdict(self) -> str:
        """Return "met" when all checks are, "not met" when one is not, else "undecided"."""
        verdicts = {check.verdict for check in self.checks}
        if NOT_MET in verdicts:
            return NOT_MET
        return MET if verdicts == {MET} else UNDECIDED

    @property
    def passed(self) -> bool:
        """Return whether every limit is met."""
        return self.verdict == MET

    def line(self) -> str:
        """Return the verdict as one line."""
        met = sum(check.passed for check in self.checks)
        return (
            f"{self.engine}  {self.verdict}: {met} of {len(self.checks)} limits met at "
            f"{100.0 * self.confidence:g} % confidence"
        )

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON values."""
        return {
            "engine": self.engine,
            "digest": self.digest,
            "verdict": self.verdict,
            "confidence": self.confidence,
            "checks": [asdict(check) for check in self.checks],
            "notes": list(self.notes),
        }
