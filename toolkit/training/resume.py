"""Where a training run stands, in a file that `--resume` continues from to the same bits.

The order of the pictures, their distortion and the random numbers of a step follow from the seed
and the step alone, and so does the learning rate; left to keep are weights, optimizer and counts.
"""

from __future__ import annotations

import hashlib
import os
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from toolkit.atomic import replace_file
from toolkit.errors import CheckpointError, InputError
from toolkit.shell import quoted
from toolkit.training.history import Epoch
from toolkit.training.options import TrainingOptions
from toolkit.training.pictures import Pictures

__all__ = ["Keeper", "Position", "Recipe", "read_position", "recipe_of", "write_position"]

_FORMAT = 1


@dataclass(frozen=True)
class Recipe:
    """What makes two runs the same run: equal recipes may continue each other."""

    arch: str
    weights: str
    options: TrainingOptions
    pictures: str
    """SHA-256 of the names, labels and sizes of all training and validation pictures."""

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON values."""
        return asdict(self)


@dataclass(frozen=True)
class Position:
    """A run after `step` steps. `sums` are loss, right answers and pictures of the open epoch."""

    step: int
    network: Mapping[str, Tensor]
    optimizer: Mapping[str, Any]
    scaler: Mapping[str, Any]
    sums: tuple[float, float, float]
    epochs: tuple[Epoch, ...]
    best: Mapping[str, Tensor]
    """The weights of the best epoch so far, where the run may end early; else empty."""


def recipe_of(
    arch: str, weights: str, options: TrainingOptions, train: Pictures, val: Pictures
) -> Recipe:
    """Return the recipe of a run on these pictures."""
    digest = hashlib.sha256()
    for pictures in (train, val):
        for image in pictures.images:
            name = os.fsencode(Path(*image.path.parts[-2:]))
            size = image.path.stat().st_size
            digest.update(b"%s\0%d\0%d\n" % (name, image.label, size))
    return Recipe(arch, weights, options, digest.hexdigest())


def write_position(path: Path, position: Position, recipe: Recipe) -> None:
    """Write `position` atomically, as plain values that `torch.load(weights_only=True)` accepts."""
    values = {
        "edgekit_resume": _FORMAT,
        "recipe": recipe.to_dict(),
        "step": position.step,
        "network": dict(position.network),
        "optimizer": dict(position.optimizer),
        "scaler": dict(position.scaler),
        "sums": list(position.sums),
        "epochs": [asdict(epoch) for epoch in position.epochs],
        "best": dict(position.best),
    }
    with replace_file(path) as temporary:
        torch.save(values, temporary)


def read_position(path: Path, recipe: Recipe) -> Position | None:
    """Return where the run that wrote `path` stood, on the CPU; None if there is no such file.

    Raises InputError when that was a run of another recipe, CheckpointError for a damaged file.
    """
    if not path.exists():
        return None
    anew = f"rm {quoted(path)}   # and train from the start"
    try:
        values = torch.load(path, map_location="cpu", weights_only=True)
        written = values["recipe"]
        if values["edgekit_resume"] != _FORMAT:
            raise ValueError(f"format {values['edgekit_resume']}")
        position = Position(
            step=values["step"],
            network=values["network"],
            optimizer=values["optimizer"],
            scaler=values["scaler"],
            sums=tuple(values["sums"]),
            epochs=tuple(Epoch(**each) for each in values["epochs"]),
            best=values["best"],
        )
    except Exception as error:  # torch.load raises a dozen kinds for damaged bytes
        raise CheckpointError(
            f"{path} is damaged or was written by another version ({type(error).__name__}): "
            "training cannot go on from it.",
            next_command=anew,
        ) from error
    _check_same(path, written, recipe.to_dict(), anew)
    return position


class Keeper:
    """The file of one run. Only the leading worker has a `path`; the others keep nothing."""

    def __init__(
        self,
        path: Path | None,
        recipe: Recipe,
        *,
        minutes: float,
        resume: bool,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._path, self._recipe, self._resume = path, recipe, resume
        self._every_s, self._clock, self._kept_at = 60.0 * minutes, clock, clock()

    def position(self) -> Position | None:
        """Return where to go on from; None to start anew."""
        if self._path is None or not self._resume:
            return None
        return read_position(self._path, self._recipe)

    def keep(self, position: Callable[[], Position]) -> None:
        """Write the position."""
        if self._path is not None:
            write_position(self._path, position(), self._recipe)
            self._kept_at = self._clock()

    def keep_now_and_then(self, position: Callable[[], Position]) -> None:
        """Write the position if the last one is old enough (`minutes`; 0: always)."""
        if self._clock() - self._kept_at >= self._every_s:
            self.keep(position)


def _check_same(path: Path, written: Any, wanted: dict[str, Any], anew: str) -> None:
    before, now = ({**each.pop("options"), **each} for each in (dict(written), dict(wanted)))
    changed = [name for name in now if before.get(name) != now[name]]
    if not changed:
        return
    name = changed[0]
    values = "" if name == "pictures" else f": {name} was {before.get(name)!r}, not {now[name]!r}"
    what = "other pictures" if name == "pictures" else "other options"
    raise InputError(f"The run in {path} had {what}{values}.", next_command=anew)
