"""ImageNet-1k as facts: its synsets, their names, and the numbers the challenge gave them."""

from __future__ import annotations

import csv
from functools import lru_cache
from importlib.resources import files

__all__ = ["imagenet_classes", "synset_of_challenge_id"]


@lru_cache(maxsize=1)
def imagenet_classes() -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return the 1000 synsets and the 1000 names, both in the order of torchvision's logits.

    Names are not unique (two classes are called "crane"); synsets are.
    """
    return tuple(row["synset"] for row in _rows()), tuple(row["name"] for row in _rows())


@lru_cache(maxsize=1)
def synset_of_challenge_id() -> dict[int, str]:
    """Return the synset of each ILSVRC2012_ID, 1 to 1000.

    These are the numbers of the challenge's development kit (`meta.mat`, and the ground truth of
    the validation pictures). They are not the order of the logits: kit fox is 1.
    """
    return {int(row["ilsvrc2012_id"]): row["synset"] for row in _rows()}


@lru_cache(maxsize=1)
def _rows() -> list[dict[str, str]]:
    text = files("toolkit.datasets").joinpath("imagenet_classes.csv").read_text(encoding="utf-8")
    return list(csv.DictReader(text.splitlines()))
