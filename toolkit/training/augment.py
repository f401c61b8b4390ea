"""Distort training pictures, each by random numbers of its own.

Every function takes uint8 pictures (n, C, H, W) and one seed per picture and returns as many
pictures of the same shape and type. A picture's distortion depends on its seed alone: neither on
its place in the batch, nor on how many processes share the work, nor on what ran before.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import lru_cache

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional
from torchvision.transforms import v2

__all__ = ["Augment", "mild", "photos", "trivial", "unchanged"]

Augment = Callable[[Tensor, Sequence[int]], Tensor]


def unchanged(pictures: Tensor, _seeds: Sequence[int]) -> Tensor:
    """Return the pictures."""
    return pictures


def mild(pictures: Tensor, seeds: Sequence[int]) -> Tensor:
    """Return them turned by up to 8 degrees, scaled and shifted by 10 %, brightened by 20 %.

    Never mirrored: a mirrored "turn right" means something else. The whole batch is moved at once,
    which for small pictures is many times faster than torchvision's one by one.
    """
    drawn = np.stack([np.random.default_rng(seed).random(6) for seed in seeds]) - 0.5
    chance = torch.from_numpy(drawn.astype(np.float32))
    angle, scale = chance[:, 0] * math.radians(16), 1 + chance[:, 1] * 0.2
    cosine, sine = torch.cos(angle) * scale, torch.sin(angle) * scale
    matrix = torch.stack(
        [
            torch.stack([cosine, -sine], 1),
            torch.stack([sine, cosine], 1),
            chance[:, 2:4] * 0.2,
        ],
        dim=2,
    )
    grid = functional.affine_grid(matrix, list(pictures.shape), align_corners=False)
    moved = functional.grid_sample(
        pictures.float(), grid, padding_mode="border", align_corners=False
    )
    gain = 1 + chance[:, 4].reshape(-1, 1, 1, 1) * 0.4
    offset = chance[:, 5].reshape(-1, 1, 1, 1) * 0.1 * 255
    lit = (moved - 127.5).mul_(gain).add_(127.5 + offset)
    return lit.round_().clamp_(0, 255).to(torch.uint8)


def photos(pictures: Tensor, seeds: Sequence[int]) -> Tensor:
    """Return what torchvision trains photographs on: random crops, mirrored, of other colours.

    Crops keep a third of the picture or more, as the pictures were cropped once already.
    """
    return _one_by_one(_photos(*pictures.shape[-2:]), pictures, seeds)


def trivial(pictures: Tensor, seeds: Sequence[int]) -> Tensor:
    """Return each picture after one random operation (Mueller and Hutter, TrivialAugment, 2021)."""
    return _one_by_one(_trivial(), pictures, seeds)


@lru_cache(maxsize=4)
def _photos(height: int, width: int) -> v2.Transform:
    return v2.Compose(
        [
            v2.RandomResizedCrop((height, width), scale=(0.35, 1.0), antialias=True),
            v2.RandomHorizontalFlip(),
            v2.ColorJitter(brightness=0.2, contrast=0.2, saturation=0.2),
        ]
    )


@lru_cache(maxsize=1)
def _trivial() -> v2.Transform:
    return v2.TrivialAugmentWide()


def _one_by_one(transform: v2.Transform, pictures: Tensor, seeds: Sequence[int]) -> Tensor:
    done = []
    with torch.random.fork_rng(devices=[]):  # torchvision draws from the global generator only
        for picture, seed in zip(pictures, seeds, strict=True):
            torch.default_generator.manual_seed(seed)
            done.append(transform(picture))
    return torch.stack(done)
