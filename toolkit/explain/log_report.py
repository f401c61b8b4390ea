"""`edgekit doctor --log`: what a log says about why it ended, for people and as JSON."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from toolkit.explain import Explanation, explain_text
from toolkit.explain.read_log import read_log

__all__ = ["LogReport", "explain_log"]

_TRY = (
    "run it again with everything said: trtexec ... --verbose 2>&1 | tee build.log",
    "what the kernel saw: sudo dmesg | edgekit doctor --log -",
    "what is installed here: edgekit doctor",
)


@dataclass(frozen=True)
class LogReport:
    """What is known of a log; failures come first, in the order they happened."""

    log: str
    found: tuple[Explanation, ...]
    lines: tuple[int | None, ...]
    """The line of each, None where the log is too long for its lines to be counted."""
    skipped_bytes: int

    @property
    def explained(self) -> bool:
        """Return whether a failure is known, and not only warnings."""
        return any(not each.warning for each in self.found)

    @property
    def try_next(self) -> tuple[str, ...]:
        """Return what else to look at where no failure is known."""
        return () if self.explained else _TRY

    def summary(self) -> str:
        """Return the verdict as one line."""
        if self.explained:
            return f"{self.log}: {self.found[0].cause} Next: {self.found[0].fix}"
        only = " but warnings" if self.found else ""
        return f"{self.log}: nothing{only} that Edgekit knows; the reason is not among its rules"

    def details(self) -> tuple[str, ...]:
        """Return every explanation with its line, fix and reference, then what to try."""
        told: list[str] = []
        for each, line in zip(self.found, self.lines, strict=True):
            where = "" if line is None else f"line {line}, "
            times = f", {each.times} lines" if each.times > 1 else ""
            kind = "warning" if each.warning else "failure"
            told += [
                f"{kind} {each.rule} ({where}{each.text}{times})",
                f"  cause: {each.cause}",
                f"  fix: {each.fix}",
                f"  see: {each.reference}",
            ]
        if self.skipped_bytes:
            told.append(f"{self.skipped_bytes} bytes in the middle of the log were not read")
        return (*told, *(f"try: {each}" for each in self.try_next))

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON values."""
        causes = [
            {
                "rule": each.rule,
                "cause": each.cause,
                "fix": each.fix,
                "reference": each.reference,
                "warning": each.warning,
                "line": line,
                "text": each.text,
                "times": each.times,
            }
            for each, line in zip(self.found, self.lines, strict=True)
        ]
        return {
            "log": self.log,
            "explained": self.explained,
            "causes": causes,
            "skipped_bytes": self.skipped_bytes,
            "try": list(self.try_next),
        }


def explain_log(path: Path) -> LogReport:
    """Return what is known about the log in `path`. Raises InputError when it is no text."""
    log = read_log(path)
    found = explain_text(log.text)
    lines = tuple(log.line_of(each.start) for each in found)
    return LogReport(str(path), found, lines, log.skipped_bytes)
