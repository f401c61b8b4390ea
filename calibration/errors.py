"""The one error of this package; the tree of all errors is drawn in toolkit/errors.py."""

from __future__ import annotations

__all__ = ["CalibrationError"]


class CalibrationError(Exception):
    """Ranges or Q/DQ cannot be made from this input: one sentence, and the next command."""

    def __init__(self, message: str, *, next_command: str) -> None:
        super().__init__(message)
        self.message = message
        self.next_command = next_command
