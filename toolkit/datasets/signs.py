"""The generated data set: ten road signs in many scenes, as class folders or as a clip."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from toolkit.atomic import new_folder
from toolkit.contract import Contract
from toolkit.datasets.folder import ImageFolder, folder_of_classes, open_folder
from toolkit.datasets.sign_drawings import SIGNS
from toolkit.datasets.sign_scenes import background, draw_scene, random_look
from toolkit.errors import InputError
from toolkit.progress import Progress, ProgressCallback, silent
from toolkit.shell import quoted

__all__ = ["SIGNS", "SignsData", "make_signs", "open_signs", "sign_frames"]

_RECIPE = "signs.json"
_VERSION = 1
_SPLITS = ("train", "val")
_SHOT = 15
"""Frames that show one sign before the clip cuts to the next: half a second at 30 fps."""


@dataclass(frozen=True)
class SignsData:
    """The folders of a generated data set."""

    root: Path
    train: Path
    val: Path


def make_signs(
    out: Path,
    *,
    train: int = 3000,
    val: int = 600,
    size: int = 64,
    seed: int = 0,
    progress: ProgressCallback = silent,
) -> SignsData:
    """Write `train` + `val` pictures of `size` x `size` pixels to `out`/{train,val}/CLASS/*.jpg.

    Classes are equally frequent. Equal options give equal bytes (for one version of Pillow). The
    folder appears complete or not at all; one that was made with the same options is left as it
    is. Raises InputError when `out` holds anything else, MachineError when it cannot be written.
    """
    for name, value, least in (("train", train, 10), ("val", val, 10), ("size", size, 24)):
        if value < least:
            raise InputError(
                f"The signs data set needs {name} of at least {least}, {value} was asked for.",
                next_command="edgekit demo --out DIR",
            )
    data = SignsData(out, out / "train", out / "val")
    recipe = {"version": _VERSION, "train": train, "val": val, "size": size, "seed": seed}
    if _is_there(out, recipe):
        return data
    with new_folder(out) as unfinished:
        _write_all({"train": train, "val": val}, unfinished, size, seed, progress)
        (unfinished / _RECIPE).write_text(json.dumps(recipe) + "\n", encoding="utf-8")
    return data


def open_signs(root: Path, *, contract: Contract | None = None) -> ImageFolder:
    """Return one split of the data set (`DIR/train` or `DIR/val`), labelled in the order of SIGNS.

    Raises InputError and LabelsError as `open_folder` does.
    """
    if contract is not None:
        return open_folder(root, contract=contract)
    return folder_of_classes(root, ids=SIGNS, labels=SIGNS)


def sign_frames(
    n: int, *, size: tuple[int, int] = (640, 480), seed: int = 0
) -> Iterator[tuple[NDArray[np.uint8], int]]:
    """Yield `n` frames of a drive, uint8 (H, W, 3) RGB, with the index in SIGNS of their sign.

    `size` is width and height. Every half second at 30 fps the next sign comes nearer.
    """
    width, height = size
    order: list[int] = []
    for shot in range((n + _SHOT - 1) // _SHOT):
        generator = np.random.default_rng([seed, 99, shot])
        if not order:
            order = [int(label) for label in generator.permutation(len(SIGNS))]
        label = order.pop()
        look = random_look(generator)
        behind = background(look, width, height)
        for index in range(min(_SHOT, n - shot * _SHOT)):
            moved = look.moved(index / (_SHOT - 1))
            noise = int(generator.integers(0, 2**31))
            yield draw_scene(SIGNS[label], moved, behind, noise_seed=noise), label


def _write_all(
    counts: dict[str, int], root: Path, size: int, seed: int, progress: ProgressCallback
) -> None:
    total, done = sum(counts.values()), 0
    for split in counts:
        for name in SIGNS:
            (root / split / name).mkdir(parents=True)
        for index in range(counts[split]):
            name = SIGNS[index % len(SIGNS)]
            generator = np.random.default_rng([seed, _SPLITS.index(split), index])
            look = random_look(generator)
            pixels = draw_scene(name, look, background(look, size, size))
            content = _jpeg(pixels, quality=int(generator.integers(70, 96)))
            (root / split / name / f"{index:05}.jpg").write_bytes(content)
            done += 1
            if done % 50 == 0 or done == total:
                progress(Progress("draw road signs", done, total))


def _jpeg(pixels: NDArray[np.uint8], *, quality: int) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, format="JPEG", quality=quality)
    return buffer.getvalue()


def _is_there(out: Path, recipe: dict[str, int]) -> bool:
    """Return whether `out` is this data set; raise InputError if it is something else."""
    if not out.exists() or (out.is_dir() and not any(out.iterdir())):
        return False
    try:
        if json.loads((out / _RECIPE).read_text(encoding="utf-8")) == recipe:
            return True
    except (OSError, ValueError):
        pass  # not ours, or damaged: said below
    raise InputError(
        f"{out} exists and is not this data set ({recipe['train']} + {recipe['val']} pictures of "
        f"{recipe['size']} pixels, seed {recipe['seed']}): it is left alone.",
        next_command=f"rm -r {quoted(out)}   (or choose another folder)",
    )
