"""Why a build or run failed: known lines of logs, each with its cause and the command that helps.

Text in, records out. A family of failures is a module with a table; add a rule there.
"""

from __future__ import annotations

from toolkit.explain import builds, cameras, engine_files, gpu, graphs, memory
from toolkit.explain.rule import Explanation, Rule

__all__ = ["RULES", "Explanation", "Rule", "explain_text"]

RULES: tuple[Rule, ...] = (
    *engine_files.RULES,
    *graphs.RULES,
    *builds.RULES,
    *gpu.RULES,
    *cameras.RULES,
    *memory.RULES,
)
"""Every known failure. Add one to the module of its family, and a log in its test's folder."""


def explain_text(text: str) -> tuple[Explanation, ...]:
    """Return what is known about `text`: failures in the order they appear, then warnings.

    The first failure is mostly the cause of the later ones. Empty when nothing is known.
    """
    found = [explanation for rule in RULES if (explanation := rule.explain(text)) is not None]
    return tuple(sorted(found, key=lambda each: (each.warning, each.start)))
