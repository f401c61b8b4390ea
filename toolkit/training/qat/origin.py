"""What a table says of the fine-tuning that it comes from: one note, written and read here."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from calibration.table import CalibrationTable

__all__ = ["QAT", "Origin", "origin_of"]

QAT = "qat"
"""The method of a table whose ranges were learned; no name of calibration.methods.METHODS."""
_NOTE = re.compile(r"fine-tuned for (\d+) epochs from (\S+) ranges \((\S+)\)")


@dataclass(frozen=True)
class Origin:
    """How long a model was fine-tuned, and how the ranges that it started from were chosen."""

    epochs: int
    method: str
    effort: str

    def note(self) -> str:
        """Return the note of its table."""
        return f"fine-tuned for {self.epochs} epochs from {self.method} ranges ({self.effort})"


def origin_of(table: CalibrationTable) -> Origin | None:
    """Return what the notes of a fine-tuned table say; None where they do not, and of any other."""
    notes: Sequence[str] = table.notes if table.method == QAT else ()
    for note in notes:
        if match := _NOTE.fullmatch(note):
            return Origin(int(match[1]), match[2], match[3])
    return None
