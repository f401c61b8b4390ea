"""Facts about devices: what they are, what runs on them, and the machine this is.

Standard library only. Start with `get(name)` for a Target and `decide(target, precision=...)` for
how a model is built for it.
"""

from __future__ import annotations

from targets.catalog import Target, all_targets
from targets.conditions import Conditions, one_line, read_conditions
from targets.decision import Decision
from targets.detect import detect
from targets.errors import TargetError
from targets.lookup import get
from targets.support import decide

__all__ = [
    "Conditions",
    "Decision",
    "Target",
    "TargetError",
    "all_targets",
    "decide",
    "detect",
    "get",
    "one_line",
    "read_conditions",
]
