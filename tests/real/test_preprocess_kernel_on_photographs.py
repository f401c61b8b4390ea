"""The GPU's preprocessing kernel, built for the CPU, on real photographs of odd sizes.

The photographs here are all 227 x 227. Pieces of them and mosaics of several have other sizes.
"""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from tests.doubles.host_kernel import HOST_COMPILER, run_on_host
from tests.real.imagenet import IMAGENET as FOLDER
from tests.real.imagenet import needs_imagenet
from toolkit.images import read_image
from toolkit.preprocess import IMAGENET, Preprocess
from toolkit.runtime.cuda.frame_plan import plan_frame

pytestmark = [
    needs_imagenet,
    pytest.mark.skipif(HOST_COMPILER is None, reason="no g++ to build the kernel with"),
]

SQUASHED = Preprocess(96, 160, resize="squash", interpolation="bicubic", colour="bgr")
RECIPES = {"imagenet": IMAGENET, "squashed": SQUASHED}
SIZES = [(227, 227), (225, 131), (101, 199), (453, 679), (679, 451), (719, 1279), (1079, 1813)]


@pytest.fixture(scope="module")
def mosaic() -> NDArray[np.uint8]:
    """Forty photographs, 5 rows of 8."""
    paths = sorted(FOLDER.glob("val/*/*"))[::16][:40]
    images = [read_image(path) for path in paths]
    assert len(images) == 40
    rows = [np.concatenate(images[start : start + 8], axis=1) for start in range(0, 40, 8)]
    return np.concatenate(rows, axis=0)


@pytest.mark.parametrize("recipe", RECIPES)
@pytest.mark.parametrize("size", SIZES, ids=str)
def test_the_kernel_gives_the_inputs_of_preprocess(
    mosaic: NDArray[np.uint8], size: tuple[int, int], recipe: str
) -> None:
    preprocess = RECIPES[recipe]
    for left in (0, 3):
        image = np.ascontiguousarray(mosaic[: size[0], left : left + size[1]])
        assert image.shape[:2] == size
        plan = plan_frame(preprocess, size[1], size[0], bgr=False)
        got = run_on_host(plan, image[None])[0]
        assert np.abs(got - preprocess(image)).max() <= 1e-3
