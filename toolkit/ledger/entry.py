"""One line of the ledger: what was timed, on what, and what else changes the figure."""

from __future__ import annotations

import hashlib
import json
import math
from dataclasses import asdict, dataclass, fields
from typing import Any

from toolkit.field_types import check_types
from toolkit.statistics import percentile

__all__ = ["KIND", "VERSION", "Entry", "Settings", "entry_from_dict"]

KIND = "edgekit ledger"
VERSION = 1


@dataclass(frozen=True)
class Settings:
    """What must be equal for two latencies to be alike. None is unknown."""

    covers: str
    """From where to where the time runs, such as "H2D + GPU compute + D2H"."""
    device: str
    runtime: str
    """Without its version, so that versions can be compared: "onnxruntime", "TensorRT"."""
    batch: int | None = None
    threads: int | None = None
    cuda_graph: bool | None = None
    spin_wait: bool | None = None
    transfers: bool | None = None
    """Whether inputs and outputs are copied in every inference."""
    streams: int | None = None
    power_mode: str | None = None
    clocks_locked: bool | None = None


@dataclass(frozen=True)
class Entry:
    """A timed run; entries with the same non-empty `run` took turns, `block` inferences each.

    `samples_ms` are empty where only a summary is known; then a percentile may be None.
    """

    engine: str
    digest: str
    """SHA-256 of the engine file, "" where it is unknown."""
    precision: str
    version: str
    """Of the runtime, "" where it is unknown."""
    source: str
    """The file it was read from."""
    taken_at: str
    run: str
    block: int
    samples_ms: tuple[float, ...]
    p50_ms: float
    p95_ms: float | None
    p99_ms: float | None
    settings: Settings

    @property
    def id(self) -> str:
        """Return twelve hex digits that follow from everything else: equal runs have equal ids."""
        text = json.dumps(asdict(self), sort_keys=True, allow_nan=False)
        return hashlib.sha256(text.encode("utf-8", "surrogateescape")).hexdigest()[:12]

    def line(self) -> str:
        """Return the entry as one line."""
        p99 = f"  p99 {self.p99_ms:.2f} ms" if self.p99_ms is not None else ""
        what = " ".join(part for part in (self.settings.runtime, self.version) if part)
        return (
            f"{self.id}  {self.engine}  p50 {self.p50_ms:.2f} ms{p99}  {self.precision}  {what}  "
            f"{self.settings.device}"
        )

    def summary(self) -> dict[str, Any]:
        """Return plain JSON values without the samples."""
        values = asdict(self)
        del values["samples_ms"]
        return {"id": self.id, **values, "samples": len(self.samples_ms)}

    def to_dict(self) -> dict[str, Any]:
        """Return the JSON object of the line."""
        return {"kind": KIND, "version": VERSION, "id": self.id, "entry": asdict(self)}


def entry_from_dict(values: Any) -> Entry:
    """Return the entry that `to_dict` described.

    Raises ValueError, TypeError or KeyError for values that are missing, of the wrong kind, or
    that the id or the samples contradict.
    """
    given = dict(values["entry"])
    settings = dict(given["settings"])
    _check_settings(settings)
    given["settings"] = Settings(**settings)
    given["samples_ms"] = tuple(given["samples_ms"])
    for name in ("p95_ms", "p99_ms"):
        if given[name] is not None:
            given[name] = float(given[name])
    known = {
        name: value
        for name, value in given.items()
        if value is not None and name not in ("settings", "p95_ms", "p99_ms")
    }
    check_types(Entry, known)
    entry = Entry(**given)
    times = (*entry.samples_ms, entry.p50_ms, entry.p95_ms or 1.0, entry.p99_ms or 1.0)
    if not all(math.isfinite(ms) and ms > 0.0 for ms in times):
        raise ValueError("times that are not positive")
    if entry.samples_ms and entry.p50_ms != percentile(entry.samples_ms, 50):
        raise ValueError("p50_ms does not follow from the samples")
    if entry.id != values["id"]:
        raise ValueError(f"the id {values['id']} is that of other values")
    return entry


def _check_settings(settings: dict[str, Any]) -> None:
    """Raise TypeError for a setting of the wrong kind; unknown ones are None."""
    kinds: dict[str, type] = {
        **dict.fromkeys(("covers", "device", "runtime", "power_mode"), str),
        **dict.fromkeys(("batch", "threads", "streams"), int),
        **dict.fromkeys(("cuda_graph", "spin_wait", "transfers", "clocks_locked"), bool),
    }
    for each in fields(Settings):
        value = settings.get(each.name)
        if value is not None and type(value) is not kinds[each.name]:
            raise TypeError(f"{each.name} is {str(value)[:40]!r}")
