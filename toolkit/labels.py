"""Class names for a model: from a file, from ImageNet, or plain numbers."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from toolkit.datasets.synsets import imagenet_classes
from toolkit.errors import LabelsError
from toolkit.shell import quoted

__all__ = ["Labels", "choose_labels", "read_labels"]


@dataclass(frozen=True)
class Labels:
    """`ids` are folder names, `names` what people read; `origin` says where they came from."""

    ids: tuple[str, ...]
    names: tuple[str, ...]
    origin: str


def choose_labels(labels: Path | None, *, classes: int, imagenet: bool) -> Labels:
    """Return the labels of a model with `classes` outputs.

    `labels` is a file (see `read_labels`) or the word `imagenet`. Without it, a model known to be
    trained on ImageNet (`imagenet`, and 1000 classes) gets ImageNet's; others get "0", "1", ...
    Raises LabelsError when the numbers of classes differ.
    """
    if labels is None:
        if imagenet and classes == 1000:
            return Labels(*imagenet_classes(), "ImageNet labels")
        numbers = tuple(str(index) for index in range(classes))
        return Labels(numbers, numbers, "classes without names")
    if str(labels) == "imagenet":
        found = Labels(*imagenet_classes(), "ImageNet labels")
    else:
        found = read_labels(labels)
    if len(found.names) != classes:
        raise LabelsError(
            f"{labels} names {len(found.names)} classes, the model has {classes} outputs.",
            next_command=f"wc -l {quoted(labels)}",
        )
    return found


def read_labels(path: Path) -> Labels:
    """Return the labels in a text file: one line per class, in the order of the outputs.

    A line is a name, or a folder name, a tab and a name. Raises LabelsError when the file cannot
    be read, is empty, or names a class twice.
    """
    fix = f"head {quoted(path)}"
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise LabelsError(
            f"{path} is not a readable list of labels ({error}).", next_command=fix
        ) from error
    while lines and not lines[-1].strip():
        lines.pop()
    pairs = [line.partition("\t") for line in lines]
    ids = tuple(first.strip() for first, _, _ in pairs)
    names = tuple((name if tab else first).strip() for first, tab, name in pairs)
    if not lines or "" in ids:
        where = f"line {ids.index('') + 1} is empty" if lines else "it is empty"
        raise LabelsError(f"{path} is not a list of labels: {where}.", next_command=fix)
    twice = next((name for name in ids if ids.count(name) > 1), None)
    if twice is not None:
        raise LabelsError(f"{path} names the class {twice!r} twice.", next_command=fix)
    return Labels(ids, names, f"labels from {path.name}")
