"""How long one kernel of an engine takes, and in which precision it computes."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

__all__ = ["KernelTime", "kernel_time_from_dict"]


@dataclass(frozen=True)
class KernelTime:
    """One kernel: a layer, or several that the runtime fused into one."""

    name: str
    operator: str
    precision: str
    """Of what it reads, and of what it writes where that differs: "int8", "int8 -> fp32"."""
    median_ms: float
    share: float
    """Of the sum over all kernels, a fraction of 1."""

    def line(self) -> str:
        """Return the kernel as one line."""
        return (
            f"{100.0 * self.share:5.1f} %  {self.median_ms:.3f} ms  {self.precision:<13} "
            f"{self.operator}  {self.name}"
        )


def kernel_time_from_dict(values: dict[str, Any]) -> KernelTime:
    """Return the kernel that `asdict` described. Raises KeyError, TypeError or ValueError."""
    name, operator, precision = (str(values[key]) for key in ("name", "operator", "precision"))
    median, share = float(values["median_ms"]), float(values["share"])
    if not (math.isfinite(median) and median >= 0.0 and 0.0 <= share <= 1.0):
        raise ValueError(f"a kernel of {median} ms and a share of {share}")
    return KernelTime(name, operator, precision, median, share)
