"""Which class each picture of a flat folder has, from the list that came with the data set.

ImageNet's validation pictures come in one folder. Their classes stand in a file of the development
kit, or in one of the lists that Kaggle, TensorFlow and Caffe made of it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from toolkit.datasets.synsets import imagenet_classes, synset_of_challenge_id
from toolkit.errors import InputError, LabelsError
from toolkit.shell import quoted

__all__ = ["CLASS_LISTS", "ClassList", "find_class_list"]


@dataclass(frozen=True)
class ClassList:
    """`synsets` maps the name of a picture, without folder and ending, to its class."""

    path: Path
    synsets: Mapping[str, str]


def find_class_list(root: Path) -> ClassList | None:
    """Return the list of classes in `root`, or near it, or None.

    Looked for in `root` and up to four folders above it, there also in a development kit. Raises
    InputError for a list that cannot be read, LabelsError for a class that is not ImageNet's.
    """
    here = root.absolute()
    for distance, folder in enumerate([here, *here.parents[:4]]):
        for inner in _PLACES:
            for name, read in CLASS_LISTS.items():
                path = folder / inner / name
                # A name as plain as val.txt means this data set only beside its pictures.
                if path.is_file() and (distance < 2 or name not in _PLAIN):
                    return ClassList(path, dict(read(path)))
    return None


def _challenge_ids(path: Path) -> Iterator[tuple[str, str]]:
    """Line N holds the ILSVRC2012_ID of validation picture N, counted from 1."""
    known = synset_of_challenge_id()
    for number, line in _lines(path):
        if not line.isdecimal() or int(line) not in known:
            raise _not_a_class(path, number, line, "an ILSVRC2012_ID from 1 to 1000")
        yield _picture(number), known[int(line)]


def _synsets_in_order(path: Path) -> Iterator[tuple[str, str]]:
    """Line N holds the synset of validation picture N, counted from 1."""
    known = set(imagenet_classes()[0])
    for number, line in _lines(path):
        if line not in known:
            raise _not_a_class(path, number, line, "a synset of ImageNet-1k")
        yield _picture(number), line


def _solution(path: Path) -> Iterator[tuple[str, str]]:
    """Kaggle's table: picture, then its synset and a box, several times for several boxes."""
    known = set(imagenet_classes()[0])
    for number, line in _lines(path):
        name, _, prediction = line.partition(",")
        if number == 1 and name == "ImageId":
            continue
        synset = prediction.partition(" ")[0]
        if synset not in known:
            raise _not_a_class(path, number, line, "a picture, a comma and a synset")
        yield name, synset


def _names_and_classes(path: Path) -> Iterator[tuple[str, str]]:
    """Caffe's list: picture and class; a number counts the sorted synsets from 0."""
    synsets = imagenet_classes()[0]
    known = dict(zip(synsets, synsets, strict=True))
    known |= {str(index): synset for index, synset in enumerate(synsets)}
    for number, line in _lines(path):
        name, _, label = line.rpartition(" ")
        if label == str(len(synsets)):
            raise LabelsError(
                f"{path}, line {number}: class 1000 means that this list counts from 1, and does "
                "not say in which order.",
                next_command=f"head {quoted(path)}",
            )
        if not name or label not in known:
            wanted = "a picture, a space, and a synset or a number from 0 to 999"
            raise _not_a_class(path, number, line, wanted)
        yield Path(name.strip()).stem, known[label]


CLASS_LISTS: dict[str, Callable[[Path], Iterator[tuple[str, str]]]] = {
    "ILSVRC2012_validation_ground_truth.txt": _challenge_ids,
    "LOC_val_solution.csv": _solution,
    "imagenet_2012_validation_synset_labels.txt": _synsets_in_order,
    "val.txt": _names_and_classes,
}
"""The file names these lists are known by, the surest first."""

_PLAIN = ("val.txt",)
_PLACES = ("", "ILSVRC2012_devkit_t12/data", "devkit/data")


def _picture(number: int) -> str:
    return f"ILSVRC2012_val_{number:08}"


def _lines(path: Path) -> Iterator[tuple[int, str]]:
    """Yield the numbers, from 1, and the contents of the lines; empty ones at the end are left."""
    try:
        lines = path.read_text(encoding="utf-8").rstrip().splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(
            f"{path} is not a readable list of classes ({error}).",
            next_command=f"head {quoted(path)}",
        ) from error
    for number, line in enumerate(lines, start=1):
        yield number, line.strip()


def _not_a_class(path: Path, number: int, line: str, wanted: str) -> LabelsError:
    return LabelsError(
        f"{path}, line {number}: {line[:60]!r} is not {wanted}.",
        next_command=f"sed -n {number}p {quoted(path)}",
    )
