"""How much energy one inference takes above idle, and how sure that is."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from toolkit.statistics import Interval
from toolkit.statistics.distributions import t_quantile

__all__ = ["Energy", "Window", "energy_from_dict"]


@dataclass(frozen=True)
class Window:
    """A stretch of time, the energy that was used in it, and the inferences made; 0 when idle."""

    seconds: float
    joules: float
    inferences: int = 0

    @property
    def watts(self) -> float:
        """Return the mean power."""
        return self.joules / self.seconds


@dataclass(frozen=True)
class Energy:
    """Windows of one engine running back to back, and of the idle machine before and after."""

    source: str
    covers: str
    """The part of the machine whose energy it is, with the sensors' names."""
    hz: float
    """Readings a second."""
    windows: tuple[Window, ...]
    idle_before: tuple[Window, ...]
    idle_after: tuple[Window, ...]

    @property
    def idle_w(self) -> float:
        """Return the idle power, the mean of before and after."""
        return (_mean(self.idle_before) + _mean(self.idle_after)) / 2.0

    @property
    def load_w(self) -> float:
        """Return the power while inferring, idle power included."""
        joules = math.fsum(window.joules for window in self.windows)
        return joules / math.fsum(window.seconds for window in self.windows)

    @property
    def mj(self) -> float:
        """Return the millijoules of one inference above idle."""
        return float(np.mean([self._above_idle_mj(window) for window in self.windows]))

    def interval(self, confidence: float = 0.95) -> Interval:
        """Return the interval for `mj`.

        The spread between windows, that between idle windows, and how far idle power moved from
        before to after (anywhere in between is as likely: half the step over the root of 3, JCGM
        100:2008, 4.3.7), added as variances; t with the degrees of freedom of Welch and
        Satterthwaite.
        """
        per_inference = float(np.mean([each.seconds / each.inferences for each in self.windows]))
        scale = (1e3 * per_inference) ** 2
        parts = [_variance([self._above_idle_mj(window) for window in self.windows])]
        for idle in (self.idle_before, self.idle_after):
            variance, dof = _variance([window.watts for window in idle])
            parts.append((scale * variance / 4.0, dof))
        step = (_mean(self.idle_after) - _mean(self.idle_before)) / 2.0
        total = math.fsum(variance for variance, _ in parts) + scale * step**2 / 3.0
        doubt = math.fsum(variance**2 / dof for variance, dof in parts if dof)
        dof = max(1, int(total**2 / doubt)) if doubt > 0.0 else len(self.windows)
        known = all(dof for _, dof in parts)
        half = t_quantile(0.5 + confidence / 2.0, min(dof, 1000)) * math.sqrt(total)
        half = half if known else math.inf
        return Interval(self.mj - half, self.mj + half, confidence)

    def _above_idle_mj(self, window: Window) -> float:
        return 1e3 * (window.joules - self.idle_w * window.seconds) / window.inferences

    def line(self) -> str:
        """Return the result in a few words; `?` when the interval does not exclude 0."""
        interval = self.interval()
        doubt = "" if interval.low > 0.0 else "?"
        return (
            f"{self.mj:.3g}{doubt} mJ above idle ({interval.low:.3g} to {interval.high:.3g}, "
            f"{self.source})"
        )

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON values with every window."""
        windows = {
            name: [vars(window) for window in getattr(self, name)]
            for name in ("windows", "idle_before", "idle_after")
        }
        return {
            "mj": self.mj,
            "mj_interval": self.interval().to_list(),
            "idle_w": self.idle_w,
            "load_w": self.load_w,
            "source": self.source,
            "covers": self.covers,
            "hz": self.hz,
            **windows,
        }


def _mean(windows: tuple[Window, ...]) -> float:
    return float(np.mean([window.watts for window in windows]))


def _variance(values: list[float]) -> tuple[float, int]:
    """Return the variance of the mean and its degrees of freedom; 0 of these: it is unknown."""
    n = len(values)
    return (float(np.var(values, ddof=1)) / n, n - 1) if n > 1 else (0.0, 0)


def energy_from_dict(values: dict[str, Any]) -> Energy:
    """Return what `to_dict` described. Raises KeyError, TypeError or ValueError for other values.

    Its figures must follow from its windows.
    """
    windows = {
        name: tuple(
            Window(float(w["seconds"]), float(w["joules"]), int(w["inferences"]))
            for w in values[name]
        )
        for name in ("windows", "idle_before", "idle_after")
    }
    if not all(windows.values()):
        raise ValueError("an energy without windows")
    every = [window for group in windows.values() for window in group]
    if not all(math.isfinite(w.joules) and 0.0 < w.seconds < math.inf for w in every):
        raise ValueError("windows of no time or no energy")
    if any(window.inferences < 1 for window in windows["windows"]):
        raise ValueError("windows without an inference")
    energy = Energy(str(values["source"]), str(values["covers"]), float(values["hz"]), **windows)
    if values["mj"] != energy.mj:
        raise ValueError("mj does not follow from the windows")
    return energy
