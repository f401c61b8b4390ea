"""Intervals, tests and sample sizes that the reports rest on; NumPy only."""

from __future__ import annotations

from toolkit.statistics.intervals import Interval
from toolkit.statistics.proportions import (
    images_needed,
    mcnemar_mid_p,
    mcnemar_p,
    newcombe_interval,
    paired_drop_interval,
    wilson_interval,
)
from toolkit.statistics.quantiles import (
    percentile,
    percentile_text,
    quantile_interval,
    samples_needed,
    trusted,
)
from toolkit.statistics.ratios import MARGIN, Ratio, ratio_of_medians
from toolkit.statistics.series import correlation_time, mean_interval, spread_of_mean

__all__ = [
    "MARGIN",
    "Interval",
    "Ratio",
    "correlation_time",
    "images_needed",
    "mcnemar_mid_p",
    "mcnemar_p",
    "mean_interval",
    "newcombe_interval",
    "paired_drop_interval",
    "percentile",
    "percentile_text",
    "quantile_interval",
    "ratio_of_medians",
    "samples_needed",
    "spread_of_mean",
    "trusted",
    "wilson_interval",
]
