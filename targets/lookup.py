"""From a name a person types to a target, with the nearest names when there is none."""

from __future__ import annotations

import difflib
import re

from targets.catalog import Target, all_targets, generic_target
from targets.detect import detect_cpu
from targets.errors import TargetError

__all__ = ["ALIASES", "get", "names"]

# Only names that mean one device and are not the beginning or the end of its id.
ALIASES = {
    "agx-thor": "jetson-t5000",
    "gb10": "dgx-spark-gb10",
    "jetson-agx-thor": "jetson-t5000",
    "tesla-t4": "t4",
}


def get(name: str) -> Target:
    """Return the target called `name`: an id, an unambiguous part of one, `cpu` or `sm89`.

    "orin-nx-16gb", "a100" and "jetson-nano" each mean one device; "orin-nano" means four, and
    raises TargetError with their ids. `cpu` is the row of the machine this runs on; `sm89` is any
    GPU of that architecture.
    """
    plain = re.sub(r"[\s_]+", "-", name.strip().lower())
    plain = re.sub(r"^(nvidia-)?(geforce-)?", "", plain)
    if plain == "cpu":
        return detect_cpu()
    match = re.fullmatch(r"sm-?(\d{2,3})", plain)
    if match:
        return generic_target(int(match[1]))
    by_id = {target.id: target for target in all_targets()}
    for exact in (plain, f"jetson-{plain}", ALIASES.get(plain, "")):
        if exact in by_id:
            return by_id[exact]
    starts = tuple(f"{start}{plain}-" for start in ("", "jetson-"))
    candidates = [target for target in by_id.values() if target.id.startswith(starts)]
    if plain and len(candidates) == 1:
        return candidates[0]
    if plain and candidates:
        ids = [target.id for target in candidates]
        raise TargetError(
            f"{name!r} could be {', '.join(ids[:-1])} or {ids[-1]}: say which.",
            next_command=f"edgekit build model.onnx --target {ids[0]}",
        )
    raise _unknown(name, plain)


def names() -> tuple[str, ...]:
    """Return every name that completion offers: `cpu`, then the ids in the catalog's order."""
    return ("cpu", *(target.id for target in all_targets()))


def _unknown(name: str, plain: str) -> TargetError:
    spellings = {target.id: target.id for target in all_targets()}
    spellings |= {target.id.removeprefix("jetson-"): target.id for target in all_targets()}
    spellings |= ALIASES
    near = difflib.get_close_matches(plain, spellings, n=3, cutoff=0.6)
    if near:
        close = list(dict.fromkeys(spellings[spelling] for spelling in near))
        guess = " or ".join(repr(target) for target in close)
        return TargetError(
            f"Unknown target {name!r}. Did you mean {guess}?",
            next_command=f"edgekit build model.onnx --target {close[0]}",
        )
    first = names()[:4]
    return TargetError(
        f"Unknown target {name!r}. Known targets: {', '.join(first)} and "
        f"{len(names()) - len(first)} more.",
        next_command="edgekit targets",
    )
