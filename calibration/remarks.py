"""What a reader of a calibration should know about its images and ranges, in sentences."""

from __future__ import annotations

from calibration.collect import Statistics, unstable
from calibration.inputs import domain_notes
from calibration.subsampling import SamplingEffect

__all__ = ["remarks"]

_FEWEST = 16


def remarks(
    statistics: Statistics, effect: SamplingEffect | None, *, uncalibrated: bool = False
) -> tuple[str, ...]:
    """Return whether the ranges converged, what sampling changed, and warnings about the images.

    Random data (`uncalibrated`) is stamped as such elsewhere: that it is noise is no news.
    """
    notes = [_convergence(statistics)]
    if effect is not None:
        notes.append(
            f"histograms count a part of the elements of {effect.sampled} tensors: on the first "
            f"{effect.images} images ranges differ by {effect.median:.1%} (median) and at most "
            f"{effect.largest:.1%} ({effect.tensor!r}) from those of every element"
        )
    return (*notes, *(() if uncalibrated else domain_notes(statistics.inputs)))


def _convergence(statistics: Statistics) -> str:
    stable, moved = unstable(statistics)
    count = statistics.samples
    if count < _FEWEST:
        images = "1 image" if count == 1 else f"{count} images"
        return f"ranges not converged: calibrated on {images}, too few to say whether they hold"
    if not moved:
        return f"ranges stable after {stable} images"
    worst = max(moved, key=lambda tensor: moved[tensor])
    return (
        f"ranges not converged: {len(moved)} of {len(statistics.tensors)} still moved by more "
        f"than 10 % over the last half of {count} images, most of all {worst!r} by "
        f"{moved[worst]:.0%}"
    )
