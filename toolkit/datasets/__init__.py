"""Data sets: every row opens one layout as an `ImageFolder`, `(root, *, contract=None)`.

Add a data set with one function and one row here; the contract tests pick it up.
"""

from __future__ import annotations

__all__ = ["DATASETS"]

DATASETS = {
    "folder": "toolkit.datasets.folder:open_folder",
    "imagenet": "toolkit.datasets.imagenet:open_imagenet",
    "signs": "toolkit.datasets.signs:open_signs",
}
