"""How much of the accuracy is left when pictures get worse, and whether INT8 loses more of it."""

from __future__ import annotations

from toolkit.robustness.corruptions import CORRUPTIONS, SEVERITIES, corruptions_named
from toolkit.robustness.record import (
    CorruptedScore,
    Estimate,
    Robustness,
    robustness_from_dict,
)
from toolkit.robustness.sweep import sweep_corruptions
from toolkit.robustness.sweep_journal import open_sweep_journal

__all__ = [
    "CORRUPTIONS",
    "SEVERITIES",
    "CorruptedScore",
    "Estimate",
    "Robustness",
    "corruptions_named",
    "open_sweep_journal",
    "robustness_from_dict",
    "sweep_corruptions",
]
