"""What `measure --host` was asked for, in one record."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, fields

__all__ = ["TimingOptions"]


@dataclass(frozen=True)
class TimingOptions:
    """The options of `toolkit.measure.measure`, with its defaults."""

    threads: int = 0
    samples: int = 1000
    seconds: float = 60.0
    warmup: int = 50
    batch: int = 0
    seed: int = 0
    layers: bool = False
    energy: bool = False

    def words(self, *, changed_only: bool = False, only: Collection[str] = ()) -> tuple[str, ...]:
        """Return them as options of `edgekit measure`, each of `only` where that is given.

        `changed_only`: without the defaults.
        """
        words: list[str] = []
        for each in fields(self):
            value = getattr(self, each.name)
            if (changed_only and value == each.default) or (only and each.name not in only):
                continue
            if isinstance(value, bool):
                words += [f"--{each.name}"] if value else []
            else:
                words += [f"--{each.name}", f"{value}"]
        return tuple(words)
