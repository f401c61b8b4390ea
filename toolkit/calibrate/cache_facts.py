"""What `edgekit inspect` says of a TensorRT calibration cache."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from toolkit.calibrate.cache import open_cache, open_pair

__all__ = ["CacheFacts", "cache_facts"]


@dataclass(frozen=True)
class CacheFacts:
    """A cache: its header, how many tensors, which scales are useless, and what it belongs to."""

    header: str
    tensorrt: str
    tensors: int
    infinite: tuple[str, ...]
    zero: tuple[str, ...]
    model: str
    """Name of the model it was written with; "" where no manifest says so."""
    target: str

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON values."""
        return {
            "header": self.header,
            "tensorrt": self.tensorrt,
            "tensors": self.tensors,
            "infinite": list(self.infinite),
            "zero": list(self.zero),
            "model": self.model,
            "target": self.target,
        }

    def lines(self) -> list[str]:
        """Return what a person wants to know."""
        version = f"TensorRT {self.tensorrt}" if self.tensorrt else "an unknown TensorRT"
        lines = [f"  scales of {self.tensors} tensors for {version} ({self.header})"]
        if self.model:
            lines.append(f"  belongs to {self.model}, for {self.target}")
        lines += [f"  infinite: {name}" for name in self.infinite]
        return lines + [f"  zero: {name}" for name in self.zero]


def cache_facts(path: Path) -> CacheFacts:
    """Return what the cache in `path` holds, checked against its manifest where there is one.

    Raises InputError, StaleError and calibration.CalibrationError.
    """
    cache, manifest = open_cache(path), open_pair(path)
    return CacheFacts(
        header=cache.header,
        tensorrt=cache.tensorrt,
        tensors=len(cache.scales),
        infinite=tuple(name for name, scale in cache.scales.items() if math.isinf(scale)),
        zero=tuple(name for name, scale in cache.scales.items() if scale == 0.0),
        model=str(manifest.get("model", "")),
        target=str(manifest.get("target", "")),
    )
