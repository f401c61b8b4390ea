"""ImageNet-1k: the names of its classes, and folders named by synset (n01440764)."""

from __future__ import annotations

import csv
from functools import lru_cache
from importlib.resources import files
from pathlib import Path

from toolkit.contract import Contract
from toolkit.datasets.folder import ImageFolder, folder_of_classes, open_folder

__all__ = ["imagenet_classes", "open_imagenet"]


@lru_cache(maxsize=1)
def imagenet_classes() -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return the 1000 synsets and the 1000 names, both in the order of torchvision's logits.

    Names are not unique (two classes are called "crane"); synsets are.
    """
    text = files("toolkit.datasets").joinpath("imagenet_classes.csv").read_text(encoding="utf-8")
    rows = list(csv.DictReader(text.splitlines()))
    return tuple(row["synset"] for row in rows), tuple(row["name"] for row in rows)


def open_imagenet(root: Path, *, contract: Contract | None = None) -> ImageFolder:
    """Return a folder of synsets, labelled as torchvision's networks number the 1000 classes.

    A subset of the classes is enough. Raises InputError and LabelsError as `open_folder` does.
    """
    if contract is not None:
        return open_folder(root, contract=contract)
    ids, labels = imagenet_classes()
    return folder_of_classes(root, ids=ids, labels=labels)
