"""ImageNet-1k: folders named by synset (n01440764), or a flat folder beside a list of classes."""

from __future__ import annotations

from pathlib import Path

from toolkit.contract import Contract
from toolkit.datasets.folder import ImageFolder, folder_of_classes, open_folder
from toolkit.datasets.synsets import imagenet_classes

__all__ = ["open_imagenet"]


def open_imagenet(root: Path, *, contract: Contract | None = None) -> ImageFolder:
    """Return ImageNet's pictures, labelled as torchvision's networks number the 1000 classes.

    A subset of the classes is enough. Raises InputError and LabelsError as `open_folder` does.
    """
    if contract is not None:
        return open_folder(root, contract=contract)
    ids, labels = imagenet_classes()
    return folder_of_classes(root, ids=ids, labels=labels)
