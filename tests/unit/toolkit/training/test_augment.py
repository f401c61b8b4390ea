from __future__ import annotations

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="needs pip install 'edgekit[train]'")

from torch import Tensor  # noqa: E402 - only with torch

from toolkit.lazy import load  # noqa: E402 - only with torch
from toolkit.training.augment import Augment, mild, photos  # noqa: E402 - only with torch
from toolkit.training.options import AUGMENTATIONS  # noqa: E402 - only with torch


def pictures(channels: int = 3) -> Tensor:
    drawn = np.random.default_rng(1).integers(0, 256, (4, channels, 20, 24), dtype=np.uint8)
    made: Tensor = torch.from_numpy(drawn)
    return made


def row(name: str) -> Augment:
    found: Augment = load(AUGMENTATIONS[name], what="x", install="y")
    return found


@pytest.mark.parametrize("name", sorted(AUGMENTATIONS))
@pytest.mark.parametrize("channels", [1, 3])
def test_shape_and_type_stay(name: str, channels: int) -> None:
    given = pictures(channels)
    made = row(name)(given, [1, 2, 3, 4])
    assert made.shape == given.shape
    assert made.dtype == torch.uint8


@pytest.mark.parametrize("name", sorted(AUGMENTATIONS))
def test_a_picture_depends_on_its_seed_and_not_on_its_place_in_the_batch(name: str) -> None:
    given, augment = pictures(), row(name)
    whole = augment(given, [1, 2, 3, 4])
    turned = augment(given.flip(0), [4, 3, 2, 1])
    alone = augment(given[2:3], [3])
    assert torch.equal(turned.flip(0), whole)
    assert torch.equal(alone[0], whole[2])


@pytest.mark.parametrize("name", ["mild", "photos", "trivial"])
def test_other_seeds_give_other_pictures(name: str) -> None:
    given, augment = pictures(), row(name)
    assert not torch.equal(augment(given, [1, 2, 3, 4]), augment(given, [5, 6, 7, 8]))


@pytest.mark.parametrize("name", sorted(AUGMENTATIONS))
def test_the_global_random_numbers_are_left_alone(name: str) -> None:
    before = torch.get_rng_state()
    row(name)(pictures(), [1, 2, 3, 4])
    assert torch.equal(torch.get_rng_state(), before)


def test_mild_never_mirrors_and_photos_do() -> None:
    ramp = torch.arange(24, dtype=torch.uint8).mul(10).expand(1, 3, 20, 24)

    def rises(augment: Augment) -> set[bool]:
        made = [augment(ramp, [seed])[0, 0, 10].float() for seed in range(12)]
        return {bool(line[-3] > line[2]) for line in made}

    assert rises(mild) == {True}
    assert rises(photos) == {True, False}
