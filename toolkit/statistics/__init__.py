"""Intervals, tests and sample sizes that the reports rest on; NumPy only."""

from __future__ import annotations

from toolkit.statistics.confidence_error import ConfidenceGap, confidence_error
from toolkit.statistics.deciding import images_to_decide, samples_to_decide, two_sided
from toolkit.statistics.intervals import Interval
from toolkit.statistics.proportions import (
    images_for_accuracy,
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
    "ConfidenceGap",
    "Interval",
    "Ratio",
    "confidence_error",
    "correlation_time",
    "images_for_accuracy",
    "images_needed",
    "images_to_decide",
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
    "samples_to_decide",
    "spread_of_mean",
    "trusted",
    "two_sided",
    "wilson_interval",
]
