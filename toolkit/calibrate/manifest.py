"""Which images were calibrated on, with their digests: written once, and held to when read."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from toolkit.atomic import write_text
from toolkit.datasets.folder import LabelledImage
from toolkit.errors import ImageError, InputError
from toolkit.images import image_digest
from toolkit.shell import quoted

__all__ = ["CalibrationManifest", "read_manifest", "write_calibration_manifest"]

_VERSION = 1
_NAMED = 3
"""Images that an error names; the others are counted."""


@dataclass(frozen=True)
class CalibrationManifest:
    """The images of one calibration in their order, their digests, and the seed it used."""

    images: tuple[LabelledImage, ...]
    digests: tuple[str, ...]
    seed: int


@dataclass(frozen=True)
class _Entry:
    path: str
    label: int
    digest: str


def write_calibration_manifest(
    path: Path,
    root: Path | None,
    images: Sequence[LabelledImage],
    digests: Sequence[str],
    seed: int,
) -> None:
    """Write which images were calibrated on, relative to their folder `root`."""
    entries = [
        {
            "path": (image.path.relative_to(root) if root else image.path).as_posix(),
            "label": image.label,
            "digest": digest,
        }
        for image, digest in zip(images, digests, strict=True)
    ]
    record = {"version": _VERSION, "seed": seed, "images": entries}
    write_text(path, json.dumps(record, indent=1) + "\n")


def read_manifest(path: Path, root: Path) -> CalibrationManifest:
    """Return exactly the images that `path` lists, found in `root` with the bytes they had.

    Other images in `root` do not matter: a manifest lists a selection. Raises InputError where
    `path` is not a manifest, and one for all images that are missing, altered, listed twice or
    outside `root`.
    """
    seed, entries = _parsed(path)
    wrong: dict[str, list[str]] = {"missing": [], "altered": [], "listed twice": [], "outside": []}
    counts = Counter(str(PurePosixPath(entry.path)) for entry in entries)
    wrong["listed twice"] = [name for name, count in counts.items() if count > 1]
    for entry in entries:
        relative = PurePosixPath(entry.path)
        file = root / relative
        if relative.is_absolute() or ".." in relative.parts:
            wrong["outside"].append(entry.path)
        elif not file.is_file():
            wrong["missing"].append(entry.path)
        elif _digest(file) != entry.digest:
            wrong["altered"].append(entry.path)
    found = [f"{len(names)} {what} ({_first(names)})" for what, names in wrong.items() if names]
    if found:
        raise InputError(
            f"{path} lists {len(entries)} images, and {root} does not hold exactly these: "
            f"{', '.join(found)}.",
            next_command=f"edgekit calibrate MODEL.onnx --images {quoted(root)} "
            f"--write-manifest {quoted(path)}",
        )
    images = tuple(LabelledImage(root / entry.path, entry.label) for entry in entries)
    return CalibrationManifest(images, tuple(entry.digest for entry in entries), seed)


def _parsed(path: Path) -> tuple[int, list[_Entry]]:
    """Return the seed and the entries of a manifest file."""
    try:
        values: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        if values["version"] > _VERSION:
            raise InputError(
                f"{path} was written by a newer Edgekit (manifest version {values['version']}).",
                next_command="pip install --upgrade edgekit",
            )
        entries = [_Entry(**entry) for entry in values["images"]]
        fits = all(
            isinstance(e.path, str) and isinstance(e.label, int) and isinstance(e.digest, str)
            for e in entries
        )
        seed = values["seed"]
        if not (entries and fits and isinstance(seed, int)):
            raise TypeError("it lists no images" if not entries else "a field has the wrong type")
    except OSError as error:
        raise InputError(
            f"{path} cannot be read: {error.strerror or error}.",
            next_command=f"ls -l {quoted(path)}",
        ) from error
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise InputError(
            f"{path} is not a manifest of calibration images ({error}).",
            next_command="edgekit calibrate MODEL.onnx --images DIR "
            f"--write-manifest {quoted(path)}",
        ) from error
    return seed, entries


def _digest(file: Path) -> str:
    try:
        return image_digest(file)
    except ImageError:
        return ""  # unreadable: certainly not the bytes that were calibrated on


def _first(names: Sequence[str]) -> str:
    more = len(names) - _NAMED
    return ", ".join(names[:_NAMED]) + (f" and {more} more" if more > 0 else "")
