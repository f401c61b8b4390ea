"""One known failure: the lines that give it away, its cause, and the command that fixes it."""

from __future__ import annotations

import re
from dataclasses import dataclass

__all__ = ["Explanation", "Rule"]

_SHOWN_CHARS = 240


@dataclass(frozen=True)
class Explanation:
    """What a rule says about a log: the cause with the log's own values, and what to run."""

    rule: str
    cause: str
    fix: str
    """The next command; FLOAT.onnx, MODEL.onnx, ENGINE, NAME, DIR stand for the reader's own."""
    reference: str
    """The documentation page or thread to read, in words."""
    warning: bool
    """Whether the run went on: something became slower or less exact, but nothing failed."""
    text: str
    """The first line that matched, shortened."""
    start: int
    """Where that line is, in characters."""
    times: int
    """In how many lines."""

    def fix_for(self, *, model: str, target: str) -> str:
        """Return the next command with the names of one build, `model` as a word of the shell."""
        return self.fix.replace("MODEL.onnx", model).replace("--target NAME", f"--target {target}")


@dataclass(frozen=True)
class Rule:
    """A row of a family's table.

    Each pattern is searched in every line. `cause` and `fix` may hold `{group}` for a named group
    that all patterns have.
    """

    name: str
    patterns: tuple[str, ...]
    cause: str
    fix: str
    reference: str
    warning: bool = False

    def explain(self, text: str) -> Explanation | None:
        """Return what this rule says about `text`; None when no line matches."""
        matches = [
            match
            for pattern in self.patterns
            for match in re.compile(pattern, re.MULTILINE).finditer(text)
        ]
        if not matches:
            return None
        first = min(matches, key=lambda match: match.start())
        values = {name: value or "" for name, value in first.groupdict().items()}
        line_start = text.rfind("\n", 0, first.start()) + 1
        line_end = text.find("\n", first.start())
        line = text[line_start : line_end if line_end >= 0 else len(text)].strip()
        return Explanation(
            rule=self.name,
            cause=self.cause.format_map(values),
            fix=self.fix.format_map(values),
            reference=self.reference,
            warning=self.warning,
            text=line if len(line) <= _SHOWN_CHARS else line[:_SHOWN_CHARS] + " ...",
            start=line_start,
            times=len({text.rfind("\n", 0, match.start()) for match in matches}),
        )
