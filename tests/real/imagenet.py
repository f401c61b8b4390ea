"""Where the real images and weights lie, when they lie there."""

from __future__ import annotations

from pathlib import Path

import pytest

__all__ = ["IMAGENET", "WEIGHTS", "needs_imagenet"]

IMAGENET = Path(__file__).resolve().parents[3] / "shared" / "imagenet"
WEIGHTS = IMAGENET / "weights"

needs_imagenet = pytest.mark.skipif(
    not WEIGHTS.is_dir(), reason=f"no real images and weights in {IMAGENET}"
)
