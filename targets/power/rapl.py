"""Intel's and AMD's energy counters (RAPL), below /sys/class/powercap."""

from __future__ import annotations

import re
from pathlib import Path

from targets.errors import TargetError

__all__ = ["Rapl", "find_rapl"]

_FOLDER = "sys/class/powercap"
# "psys" holds the package again, and "core" and "uncore" are parts of it.
_COUNTED = re.compile(r"package-\d+|dram")


class Rapl:
    """The packages and their memory, in counters that the processor updates every millisecond."""

    name = "RAPL"
    hz = 1000.0
    settle_s = 0.05

    def __init__(self, zones: dict[str, Path]) -> None:
        self.covers = f"processor ({', '.join(zones)})"
        self._counters = [_Counter(folder) for folder in zones.values()]

    def __enter__(self) -> Rapl:
        self.joules()
        return self

    def __exit__(self, *_: object) -> None:
        """Nothing is held open."""

    def joules(self) -> float:
        """Return the energy since the source was opened; to be asked before a counter laps."""
        return sum(counter.joules() for counter in self._counters)


class _Counter:
    """One counter of microjoules. It starts again from 0 at its range: minutes, under load."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / "energy_uj"
        self._range_uj = _number(folder / "max_energy_range_uj")
        self._last_uj = _number(self._path)
        self._total_uj = 0

    def joules(self) -> float:
        now = _number(self._path)
        lap = self._range_uj if now < self._last_uj else 0
        self._total_uj += now + lap - self._last_uj
        self._last_uj = now
        return self._total_uj / 1e6


def find_rapl(root: Path = Path("/")) -> Rapl | str:
    """Return the source, or in one sentence why there is none and what would help."""
    folder = root / _FOLDER
    zones: dict[str, Path] = {}
    for zone in sorted(folder.glob("intel-rapl:*")):  # AMD's counters have this name, too
        label = _text(zone / "name")
        if label is not None and _COUNTED.fullmatch(label):
            package = zone.name.split(":")[1]
            zones[label if label.startswith("package") else f"{label}-{package}"] = zone
    if not zones:
        return (
            "no RAPL counters under /sys/class/powercap (virtual machines and containers hide them)"
        )
    try:
        return Rapl(zones)
    except PermissionError:
        return (
            "the RAPL counters may only be read by root: "
            "sudo chmod o+r /sys/class/powercap/intel-rapl:*/energy_uj"
        )
    except (OSError, TargetError) as error:
        return f"the RAPL counters cannot be read ({error})"


def _text(path: Path) -> str | None:
    try:
        return path.read_text(encoding="ascii", errors="replace").strip()
    except OSError:  # not a zone: the folder of the driver itself has no name
        return None


def _number(path: Path) -> int:
    text = path.read_text(encoding="ascii", errors="replace").strip()
    if not text.isdigit():
        raise TargetError(
            f"{path} holds {text!r}, not a count of microjoules.", next_command=f"cat {path}"
        )
    return int(text)
