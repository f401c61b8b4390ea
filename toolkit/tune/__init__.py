"""Tuning: the fewest layers in float that keep the accuracy drop within a budget."""

from __future__ import annotations

from toolkit.tune.result import Tuned
from toolkit.tune.tuning import tune

__all__ = ["Tuned", "tune"]
