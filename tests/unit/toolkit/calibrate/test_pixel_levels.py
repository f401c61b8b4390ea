from __future__ import annotations

import numpy as np
import pytest

from toolkit.calibrate.pixel_levels import levels_of
from toolkit.preprocess import IMAGENET, Preprocess

CAFFE = Preprocess(2, 2, colour="bgr", scale=1.0, mean=(104.0, 117.0, 123.0))
GREY = Preprocess(2, 2, colour="gray", mean=(0.45,), std=(0.04,))


@pytest.mark.parametrize("preprocess", [IMAGENET, CAFFE, GREY], ids=["imagenet", "caffe", "grey"])
def test_the_levels_give_back_the_pixels_that_were_normalised(preprocess: Preprocess) -> None:
    generator = np.random.default_rng(0)
    pixels = generator.integers(0, 256, (5, 7, preprocess.channels)).astype(np.uint8)
    levels = levels_of(preprocess)
    assert levels is not None
    factor, offset = (np.reshape(v, (-1, 1, 1)) for v in (levels.factor, levels.offset))
    found = preprocess.normalise(pixels) * factor + offset
    wanted = pixels[..., ::-1] if preprocess.colour == "bgr" else pixels
    assert np.abs(found - np.moveaxis(wanted, -1, 0)).max() < 1e-3


def test_a_contract_that_scales_by_zero_has_no_levels() -> None:
    assert levels_of(Preprocess(2, 2, scale=0.0)) is None
