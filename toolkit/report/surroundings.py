"""The conditions of a measurement as words: what was known, and what was not."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from toolkit.latency import Latency
from toolkit.report.model import ConditionsOf
from toolkit.report.run_files import LiveFile, RunFiles

__all__ = ["conditions_from_runs", "machine_line", "same_machine"]

UNKNOWN = "unknown"

_Write = Callable[[Any], str]
_PLAIN: tuple[tuple[str, str, _Write], ...] = (
    ("machine", "machine", str),
    ("cpu_model", "CPU", str),
    ("cores", "cores", str),
    ("core_limit", "usable cores", lambda value: f"{value:g}"),
    ("isa", "instruction set", str),
    ("gpu", "GPU", str),
    ("driver", "driver", str),
    ("jetpack", "JetPack", str),
    ("power_mode", "power mode", str),
    ("clocks_locked", "clocks locked", lambda value: "yes" if value else "no"),
    ("governor", "governor", str),
    ("energy", "energy", str),
)
_CHANGING: tuple[tuple[str, str, _Write], ...] = (
    ("cpu_mhz", "CPU clock", lambda value: f"{value:.0f} MHz"),
    ("gpu_mhz", "GPU clock", lambda value: f"{value:.0f} MHz"),
    ("temperature_c", "temperature", lambda value: f"{value:.0f} °C"),
    ("gpu_temperature_c", "GPU temperature", lambda value: f"{value:.0f} °C"),
    ("throttled", "throttled", lambda value: "YES" if value else "no"),
    ("gpu_throttled", "GPU throttled", lambda value: "YES" if value else "no"),
    ("load_1min", "load", lambda value: f"{value:.1f}"),
)
_LAST: tuple[tuple[str, str, _Write], ...] = (
    ("os", "system", str),
    ("kernel", "kernel", str),
    ("python", "Python", str),
    ("taken_at", "taken at", lambda value: str(value).replace("T", " ").replace("+00:00", " UTC")),
)
# Said to be unknown even where they cannot be read: a reader would otherwise assume the best.
_ALWAYS = frozenset({"governor", "temperature_c", "throttled"})


def conditions_from_runs(runs: RunFiles) -> tuple[ConditionsOf, ...]:
    """Return one block per run of `measure` and one per live run."""
    turns: dict[str, list[Latency]] = {}
    for latency in runs.latencies:
        turns.setdefault(latency.run, []).append(latency)
    blocks = [_of_turns(members) for members in turns.values()]
    return (*blocks, *(_of_live(file) for file in runs.live))


def machine_line(conditions: Mapping[str, Any]) -> str:
    """Return the machine in a few words: GPU or CPU, system."""
    cores = conditions.get("cores")
    parts = (
        conditions.get("gpu"),
        conditions.get("machine") if conditions.get("jetpack") else None,
        conditions.get("cpu_model"),
        f"{cores} cores" if cores else None,
        conditions.get("os"),
    )
    return ", ".join(str(part) for part in parts if part)


def same_machine(one: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
    """Return whether two conditions name the same board, CPU and GPU."""
    return all(one.get(key) == other.get(key) for key in ("machine", "cpu_model", "gpu", "arch"))


def _of_turns(members: Sequence[Latency]) -> ConditionsOf:
    first = members[0]
    rounds = len(first.samples_ms) // first.block
    how = f"{rounds} rounds of {first.block}"
    if len(members) > 1:
        how = f"{len(members)} engines in turns, {how}"
    after = first.conditions
    before = after.get("before")
    values = [
        ("threads", str(first.threads) if first.threads else "all"),
        ("batch", str(first.batch)),
        ("measured", how),
        ("warm-up", f"{len(first.warmup_ms)} inferences, kept apart"),
        *_words(before if isinstance(before, Mapping) else after, after),
    ]
    return ConditionsOf(tuple(Path(member.engine).name for member in members), tuple(values))


def _of_live(file: LiveFile) -> ConditionsOf:
    before, after = file.conditions.get("before"), file.conditions.get("after")
    values = [
        (
            label,
            "all" if (key, file.conditions[key]) == ("threads", 0) else str(file.conditions[key]),
        )
        for key, label in (("threads", "threads"), ("backend", "backend"), ("note", "note"))
        if file.conditions.get(key) not in (None, "")
    ]
    if isinstance(before, Mapping):
        values += _words(before, after if isinstance(after, Mapping) else before)
    return ConditionsOf((f"live: {file.run.engine}",), tuple(values))


def _words(before: Mapping[str, Any], after: Mapping[str, Any]) -> list[tuple[str, str]]:
    words = [(label, _one(after, key, write)) for key, label, write in _PLAIN]
    for key, label, write in _CHANGING:
        first, last = _one(before, key, write), _one(after, key, write)
        words.append((label, last if first == last else f"{first}, then {last}"))
    versions = after.get("versions")
    if isinstance(versions, Mapping):
        words += [(str(name), str(version)) for name, version in versions.items() if version]
    words += [(label, _one(after, key, write)) for key, label, write in _LAST]
    always = {label for key, label, _ in (*_PLAIN, *_CHANGING) if key in _ALWAYS}
    return [(label, text) for label, text in words if text != UNKNOWN or label in always]


def _one(conditions: Mapping[str, Any], key: str, write: _Write) -> str:
    value = conditions.get(key)
    if value is None:
        return UNKNOWN
    try:
        return write(value)
    except (TypeError, ValueError):
        return str(value)  # edited by hand: shown as it stands
