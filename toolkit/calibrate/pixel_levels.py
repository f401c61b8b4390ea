"""Where the 256 levels of a picture lie in the network input that a contract asks for."""

from __future__ import annotations

from calibration.repair.pixels import Levels
from toolkit.preprocess import Preprocess

__all__ = ["levels_of"]


def levels_of(preprocess: Preprocess) -> Levels | None:
    """Return the levels of `(pixel * scale - mean) / std`; None where the scale is zero."""
    scale = preprocess.scale
    if scale == 0.0:
        return None
    return Levels(
        factor=tuple(std / scale for std in preprocess.std),
        offset=tuple(mean / scale for mean in preprocess.mean),
    )
