"""What the answers are held against: class folders, or logits that another pipeline gave."""

from __future__ import annotations

import zipfile
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from calibration.sqnr import sqnr_db
from toolkit.contract import Contract
from toolkit.errors import InputError
from toolkit.images import IMAGE_SUFFIXES
from toolkit.predictions import IdentifiedImage, images_to_score
from toolkit.progress import ProgressCallback
from toolkit.shell import quoted
from toolkit.statistics import mcnemar_p

__all__ = ["Evidence", "expected_evidence", "labels_evidence"]

_SURE = 0.05
_MATCH_DB, _CLEARLY_DB = 45.0, 1.0
"""Logits of equal inputs agree to this in any runtime; a change must gain this much to count."""


@dataclass(frozen=True)
class Evidence:
    """The images, and one of: the class of each, or the logits (n, classes) to expect."""

    images: tuple[IdentifiedImage, ...]
    labels: NDArray[np.int64] | None
    expected: NDArray[np.float32] | None
    notes: tuple[str, ...] = ()

    def top1(self, logits: NDArray[np.float32]) -> float:
        """Return the share of right answers; without labels that of the expected answers."""
        return float(self.right(logits).mean())

    def right(self, logits: NDArray[np.float32]) -> NDArray[np.bool_]:
        """Return which answers are the label, or the expected answer where there are no labels."""
        wanted = self.labels
        if wanted is None and self.expected is not None:
            wanted = self.expected.argmax(axis=1)
        return np.asarray(logits.argmax(axis=1) == wanted)

    def sqnr_db(self, logits: NDArray[np.float32]) -> float | None:
        """Return how near the logits come to the expected ones; None without those."""
        return None if self.expected is None else sqnr_db(self.expected, logits)

    def p(self, before: NDArray[np.float32], after: NDArray[np.float32]) -> float:
        """Return the p-value that both are right equally often (McNemar, exact)."""
        one, other = self.right(before), self.right(after)
        return mcnemar_p(int((one & ~other).sum()), int((~one & other).sum()))

    def score(self, logits: NDArray[np.float32]) -> tuple[float, float]:
        """Return what orders variants, higher is better: SQNR, or top-1 and then log-likelihood."""
        if self.expected is not None:
            return self.sqnr_db(logits) or 0.0, 0.0
        wide = logits.astype(np.float64)
        wide -= wide.max(axis=1, keepdims=True)
        chosen = np.take_along_axis(wide, np.asarray(self.labels)[:, None], axis=1)[:, 0]
        likelihood = chosen - np.log(np.exp(wide).sum(axis=1))
        return float(self.right(logits).mean()), float(likelihood.mean())

    def prefers(
        self, after: NDArray[np.float32], before: NDArray[np.float32], *, tries: int
    ) -> bool:
        """Return whether `after` is better beyond chance, one of `tries` looked at (Bonferroni)."""
        if self.expected is not None:
            start = self.sqnr_db(before) or 0.0
            return start < _MATCH_DB and (self.sqnr_db(after) or 0.0) > start + _CLEARLY_DB
        better = self.right(after).sum() > self.right(before).sum()
        return bool(better and self.p(before, after) * max(tries, 1) < _SURE)


def labels_evidence(
    images: Path, contract: Contract, *, limit: int | None, progress: ProgressCallback
) -> Evidence:
    """Return the class folders under `images`. Raises InputError and LabelsError."""
    chosen = images_to_score(images, contract, limit=limit, progress=progress)
    labels = np.array([image.label for image in chosen.images], np.int64)
    return Evidence(chosen.images, labels, None, chosen.notes)


def expected_evidence(
    images: Path, expected: Path, contract: Contract, *, limit: int | None
) -> Evidence:
    """Return the pictures under `images` with their row of `expected`, an .npy or .npz file.

    A row per picture, in the order of the sorted paths inside `images`; an .npz may hold `names`
    (those paths) beside `logits`, and then only pictures that it names are used. Raises InputError
    where rows and pictures or classes do not match.
    """
    logits, names = _read_expected(expected)
    found = sorted(_pictures(images), key=lambda path: path.relative_to(images).as_posix())
    by_name = {path.relative_to(images).as_posix(): path for path in found}
    names = names if names is not None else tuple(by_name)
    if len(names) != len(logits):
        raise InputError(
            f"{expected} holds {len(logits)} rows of logits, and {images} {len(names)} pictures: "
            "which belong together is not known.",
            next_command=f"find {quoted(images)} -type f | sort",
        )
    if logits.shape[1] != len(contract.labels):
        raise InputError(
            f"{expected} holds logits of {logits.shape[1]} classes, the model has "
            f"{len(contract.labels)}.",
            next_command="edgekit inspect MODEL",
        )
    missing = [name for name in names if name not in by_name]
    if missing:
        raise InputError(
            f"{expected} names {len(missing)} pictures that are not in {images} ({missing[0]!r} "
            "is one).",
            next_command=f"ls {quoted(images)}",
        )
    kept = slice(0, limit)
    identified = tuple(IdentifiedImage(by_name[name], name, -1, "") for name in list(names)[kept])
    return Evidence(identified, None, logits[kept])


def _read_expected(path: Path) -> tuple[NDArray[np.float32], tuple[str, ...] | None]:
    fix = f"ls -l {quoted(path)}"
    try:
        loaded = np.load(path, allow_pickle=False)
        if isinstance(loaded, np.ndarray):
            logits, names = loaded, None
        else:
            with loaded:
                logits = loaded["logits" if "logits" in loaded.files else loaded.files[0]]
                given = loaded["names"] if "names" in loaded.files else None
                names = None if given is None else tuple(str(name) for name in given)
    except (OSError, ValueError, KeyError, IndexError, EOFError, zipfile.BadZipFile) as error:
        raise InputError(
            f"{path} is not a readable .npy or .npz file ({error}).", next_command=fix
        ) from error
    if logits.ndim != 2 or not len(logits) or not np.issubdtype(logits.dtype, np.floating):
        raise InputError(
            f"{path} holds {logits.dtype} {logits.shape}, not logits (pictures, classes).",
            next_command=fix,
        )
    if not np.isfinite(logits).all():
        raise InputError(f"{path} holds logits that are NaN or infinite.", next_command=fix)
    return logits.astype(np.float32), names


def _pictures(root: Path) -> Iterable[Path]:
    if not root.is_dir():
        raise InputError(f"{root} is not a folder.", next_command=f"ls -l {quoted(root.parent)}")
    found = [
        path
        for path in root.rglob("*")
        if path.suffix.lower() in IMAGE_SUFFIXES and path.is_file() and path.name[0] != "."
    ]
    if not found:
        raise InputError(f"{root} holds no pictures.", next_command=f"ls {quoted(root)}")
    return found
