from __future__ import annotations

import numpy as np
import pytest

from toolkit.camera.frame import Status, bgr_from


@pytest.mark.parametrize("shape", [(4, 5), (4, 5, 1), (4, 5, 2)], ids=str)
def test_grey_is_repeated_in_three_channels(shape: tuple[int, ...]) -> None:
    image = np.full(shape, 7, np.uint8)
    assert bgr_from(image).shape == (4, 5, 3)
    assert (bgr_from(image) == 7).all()


def test_transparency_is_dropped() -> None:
    image = np.dstack([np.full((2, 2), value, np.uint8) for value in (1, 2, 3, 200)])
    np.testing.assert_array_equal(bgr_from(image)[0, 0], [1, 2, 3])


def test_a_bgr_picture_is_not_copied() -> None:
    image = np.zeros((4, 5, 3), np.uint8)
    assert np.shares_memory(bgr_from(image), image)


def test_only_the_end_of_a_stream_is_final() -> None:
    assert {status for status in Status if status.final} == {
        Status.END,
        Status.CUT_OFF,
        Status.UNPLUGGED,
    }
