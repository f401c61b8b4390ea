"""How `edgekit targets` words the catalog and one target."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from targets import Target, all_targets, detect, get
from targets.errors import TargetError
from targets.support import decide
from toolkit.cli.outcome import Outcome

__all__ = ["all_targets_outcome", "one_target_outcome"]

_PRECISIONS = ("fp32", "fp16", "int8")


def all_targets_outcome() -> Outcome:
    """Return one line per target: name, SM, default backend, and whether it ever ran."""
    targets = all_targets()
    lines = [
        f"{target.id:24} {f'SM {target.sm_text}' if target.sm else 'CPU':8} "
        f"{target.backend:13} {target.default_precision:5} "
        f"{target.runs_on_hardware.get(target.backend, 'never run')}"
        for target in targets
    ]
    return Outcome("\n".join(lines), {"targets": [_plain(target) for target in targets]})


def one_target_outcome(name: str) -> Outcome:
    """Return what can be built for one target, in which form, and why not the rest."""
    target = detect() if name == "detect" else get(name)
    lines = [f"{target.id}: {target.name}, {target.notes}"]
    decisions: dict[str, Any] = {}
    for precision in _PRECISIONS:
        try:
            decision = decide(target, precision=precision)
        except TargetError as refusal:
            decisions[precision] = {"refused": refusal.message, "next": refusal.next_command}
            lines.append(f"  {precision}  refused: {refusal.message}")
        else:
            decisions[precision] = asdict(decision)
            lines.append(
                f"  {precision}  {decision.backend}, {decision.form}, opset {decision.opset}, "
                f"built {decision.where}"
            )
            lines.extend(f"        {reason}" for reason in decision.reasons)
    return Outcome("\n".join(lines), {**_plain(target), "decisions": decisions})


def _plain(target: Target) -> dict[str, Any]:
    values = {name: getattr(target, name) for name in Target.__dataclass_fields__}
    values["runs_on_hardware"] = dict(target.runs_on_hardware)
    return values
