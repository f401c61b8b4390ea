"""A data set of one folder per class, read in constant memory: DIR/CLASS/*.jpg.

A flat folder of pictures is taken too, where ImageNet's list of their classes lies beside it.
"""

from __future__ import annotations

import difflib
import os
import random
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from toolkit.contract import Contract
from toolkit.datasets.class_list import CLASS_LISTS, find_class_list
from toolkit.datasets.decode import decoded
from toolkit.errors import InputError, LabelsError
from toolkit.images import IMAGE_SUFFIXES
from toolkit.preprocess import Preprocess
from toolkit.shell import quoted

__all__ = ["ImageFolder", "LabelledImage", "batches", "folder_of_classes", "open_folder", "select"]

_SPLITS = frozenset({"test", "test_data", "train", "train_data", "val", "valid", "validation"})


@dataclass(frozen=True)
class LabelledImage:
    """A picture file and the index of its class among the logits."""

    path: Path
    label: int


@dataclass(frozen=True)
class ImageFolder:
    """The pictures of a data set, in the order of their classes' names and their paths.

    `classes` are the labels in the order of the logits: the model's, when a contract was given
    (some may have no picture here), else the folder names in sorted order.
    """

    root: Path
    images: tuple[LabelledImage, ...]
    classes: tuple[str, ...]
    ignored: int
    """Hidden files and files that are not named like pictures."""


def open_folder(root: Path, *, contract: Contract | None = None) -> ImageFolder:
    """Return what lies in `root`/CLASS/, labelled by the model's `contract` if one is given.

    Folder names are matched to the contract's ids (synsets) first, then to its labels. In a flat
    folder a list of classes (see `find_class_list`) stands for the folder names. Raises
    InputError when `root` is missing, has no class folders or pictures, an empty class or, without
    a contract, a single class; LabelsError when names do not match or differ only by case.
    """
    if contract is not None:
        return folder_of_classes(root, ids=contract.ids, labels=contract.labels)
    names, listed = _classes(root)
    if len(names) == 1:
        raise InputError(
            f"{root} has one class folder ({names[0]}): a classifier needs at least two.",
            next_command=f"ls {quoted(root)}",
        )
    labels = dict(zip(names, range(len(names)), strict=True))
    return _folder(root, labels, classes=names, listed=listed)


def folder_of_classes(root: Path, *, ids: Sequence[str], labels: Sequence[str]) -> ImageFolder:
    """Return what lies in `root`/CLASS/ where CLASS is one of `ids` or `labels`.

    The errors are those of `open_folder`; a single class is accepted.
    """
    names, listed = _classes(root)
    found = _match(root, names, ids, labels)
    return _folder(root, found, classes=tuple(labels), listed=listed)


def select(folder: ImageFolder, n: int, *, seed: int) -> tuple[LabelledImage, ...]:
    """Return `n` pictures, as evenly over the classes as they allow, or all if there are fewer.

    The same folder, `n` and `seed` give the same pictures in the same order.
    """
    if n < 1:
        raise InputError(
            f"At least one picture must be selected, {n} were asked for.",
            next_command=f"ls {quoted(folder.root)}",
        )
    generator = random.Random(seed)
    by_class: dict[int, list[LabelledImage]] = defaultdict(list)
    for image in folder.images:
        by_class[image.label].append(image)
    piles = [by_class[label] for label in sorted(by_class)]
    for pile in piles:
        generator.shuffle(pile)
    chosen: list[LabelledImage] = []
    while piles and len(chosen) < n:
        generator.shuffle(piles)  # so that a remainder does not always favour the first classes
        chosen.extend(pile.pop() for pile in piles)
        piles = [pile for pile in piles if pile]
    return tuple(chosen[:n])


def batches(
    images: Iterable[LabelledImage],
    preprocess: Preprocess,
    *,
    batch_size: int,
    threads: int = 0,
) -> Iterator[tuple[NDArray[np.float32], NDArray[np.int64]]]:
    """Yield network inputs, float32 (n, C, H, W), with their labels, int64 (n,), in order.

    Pictures are decoded in `threads` threads (0: one per core), no further ahead than one batch:
    memory does not grow with the data set. Raises ImageError, naming the file.
    """
    if batch_size < 1:
        raise InputError(
            f"A batch needs at least one picture, {batch_size} were asked for.",
            next_command="edgekit score --help",
        )
    inputs: list[NDArray[np.float32]] = []
    labels: list[int] = []
    for image, pixels in decoded(images, preprocess, ahead=batch_size, threads=threads):
        inputs.append(pixels)
        labels.append(image.label)
        if len(inputs) == batch_size:
            yield np.stack(inputs), np.asarray(labels, dtype=np.int64)
            inputs, labels = [], []
    if inputs:
        yield np.stack(inputs), np.asarray(labels, dtype=np.int64)


def _classes(root: Path) -> tuple[tuple[str, ...], dict[str, list[Path]]]:
    """Return the names of the classes, and in a flat folder the pictures of each."""
    if not root.is_dir():
        what = "is a file, not a folder" if root.exists() else "does not exist"
        raise InputError(f"{root} {what}.", next_command=f"ls -l {quoted(root.parent)}")
    entries = [entry for entry in root.iterdir() if not entry.name.startswith(".")]
    names = sorted(entry.name for entry in entries if entry.is_dir())
    if not names:
        listed = _listed(root, sorted(entry for entry in entries if _is_picture(entry.name)))
        return tuple(sorted(listed)), listed
    if len(names) > 1 and _SPLITS.issuperset(names):
        raise InputError(
            f"{root} holds the parts {', '.join(names)} of a data set, not its classes: name one.",
            next_command=f"ls {quoted(root / names[-1])}",
        )
    _check_case(root, names)
    return tuple(names), {}


def _listed(root: Path, pictures: list[Path]) -> dict[str, list[Path]]:
    """Return the pictures of a flat folder by the class that a list gives them."""
    found = find_class_list(root) if pictures else None
    if found is None:
        raise InputError(
            f"{root} has no class folders"
            + (f" ({len(pictures)} pictures lie in it directly)" if pictures else "")
            + ": expected one folder per class, such as DIR/stop/0001.jpg"
            + (f", or near it one of {', '.join(CLASS_LISTS)}." if pictures else "."),
            next_command=f"ls {quoted(root)}",
        )
    listed: dict[str, list[Path]] = defaultdict(list)
    unlisted = [picture for picture in pictures if picture.stem not in found.synsets]
    if unlisted:
        raise LabelsError(
            f"{len(unlisted)} of {len(pictures)} pictures in {root} have no class in {found.path} "
            f"({unlisted[0].name} is one).",
            next_command=f"head {quoted(found.path)}",
        )
    for picture in pictures:
        listed[found.synsets[picture.stem]].append(picture)
    return dict(listed)


def _check_case(root: Path, names: Sequence[str]) -> None:
    folded: dict[str, str] = {}
    for name in names:
        other = folded.setdefault(name.casefold(), name)
        if other != name:
            raise LabelsError(
                f"The class folders {other!r} and {name!r} in {root} differ only by case: "
                "on other machines they would be one class.",
                next_command=f"mv {quoted(root / name)} {quoted(root / 'NEW_NAME')}",
            )


def _match(
    root: Path, names: Sequence[str], ids: Sequence[str], labels: Sequence[str]
) -> dict[str, int]:
    by_id = {name: index for index, name in enumerate(ids)}
    by_label: dict[str, list[int]] = defaultdict(list)
    for index, label in enumerate(labels):
        by_label[label].append(index)
    found: dict[str, int] = {}
    unknown: list[str] = []
    for name in names:
        candidates = [by_id[name]] if name in by_id else by_label.get(name, [])
        if len(candidates) > 1:
            raise LabelsError(
                f"The class folder {name!r} in {root} names {len(candidates)} of the model's "
                f"classes ({', '.join(ids[index] for index in candidates)}).",
                next_command=f"mv {quoted(root / name)} {quoted(root / ids[candidates[0]])}",
            )
        if candidates:
            found[name] = candidates[0]
        else:
            unknown.append(name)
    if unknown:
        raise _unmatched(root, unknown, len(names), [*ids, *labels])
    if len(set(found.values())) < len(found):
        twice = next(n for n in found if list(found.values()).count(found[n]) > 1)
        raise LabelsError(
            f"Two class folders in {root} name the same class of the model ({twice!r} is one).",
            next_command=f"ls {quoted(root)}",
        )
    return found


def _unmatched(root: Path, unknown: list[str], total: int, known: list[str]) -> LabelsError:
    hints = []
    for name in unknown[:3]:
        same = [label for label in known if label.casefold() == name.casefold()]
        close = same or difflib.get_close_matches(name, known, n=1)
        hints.append(f"{name!r}" + (f" (did you mean {close[0]!r}?)" if close else ""))
    more = f" and {len(unknown) - 3} more" if len(unknown) > 3 else ""
    distinct = list(dict.fromkeys(known))
    sample = ", ".join(distinct[:5])
    sample += f" and {len(distinct) - 5} more" if len(distinct) > 5 else ""
    return LabelsError(
        f"{len(unknown)} of {total} class folders in {root} are not classes of the model: "
        f"{', '.join(hints)}{more}. The model knows {sample}.",
        next_command=f"ls {quoted(root)}",
    )


def _folder(
    root: Path,
    labels: dict[str, int],
    *,
    classes: tuple[str, ...],
    listed: dict[str, list[Path]],
) -> ImageFolder:
    images: list[LabelledImage] = []
    ignored = sum(not entry.is_dir() for entry in root.iterdir())
    ignored -= sum(len(paths) for paths in listed.values())
    for name, label in sorted(labels.items()):
        paths, skipped = (listed[name], 0) if listed else _pictures(root / name)
        ignored += skipped
        if not paths:
            raise InputError(
                f"The class folder {root / name} holds no pictures"
                + (f" ({skipped} other files)." if skipped else "."),
                next_command=f"rmdir {quoted(root / name)}"
                if not skipped
                else f"ls -la {quoted(root / name)}",
            )
        images.extend(LabelledImage(path, label) for path in paths)
    return ImageFolder(root, tuple(images), classes, ignored)


def _pictures(folder: Path) -> tuple[list[Path], int]:
    """Return the pictures under `folder`, sorted, and how many other files were ignored."""
    paths: list[Path] = []
    ignored = 0
    for where, inner, files in os.walk(folder, onerror=_raise):
        inner[:] = sorted(name for name in inner if not name.startswith("."))
        for name in sorted(files):
            if _is_picture(name):
                paths.append(Path(where, name))
            else:
                ignored += 1
    return paths, ignored


def _raise(error: OSError) -> None:
    raise error  # os.walk would pass over a folder that cannot be read


def _is_picture(name: str) -> bool:
    return not name.startswith(".") and Path(name).suffix.lower() in IMAGE_SUFFIXES
