"""Do the calibration images look like what the model was made for? Figures that need no reference.

Every figure is taken on the normalised network input. All but the mean and the confidence stay
the same when a channel is scaled and moved, so they hold for any contract; a contract that says
nothing (mean 0, std 1) never brings a mean beyond 1.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

__all__ = ["InputSummary", "InputWatch", "domain_notes"]

_GRID = 4
_ROWS = 64
"""Rows of an image that are looked at."""
_WATCHED = 1024
"""Images that are looked at: calibration images come in random order."""

# Each limit lies between 192 ImageNet photographs and 100 generated signs on one side (first
# figures, with their networks' contracts) and images of the wrong kind on the other.
_FAR_MEAN = 1.0  # 0.04, 0.22; grey documents 1.4, black -2.1
_BLANK = 0.02  # the flattest single images 0.38, 0.19; black 0
_ROUGH = 0.5  # medians 0.97, 0.92; noise 0.00, noise of 500 x 375 scaled down 0.25
_GREY = 1e-3  # below it lie 4 %, 0 % of the images; all grey photographs
_ALIKE = 0.1  # 0.87, 1.2, a clip of 4 shots 0.7; documents 0.05, noise 0.02, a still camera 0.001
_UNSURE = (
    0.5  # MobileNetV2 on photographs 0.99; on black 0.47 (on noise 0.64: its smoothness tells)
)


@dataclass(frozen=True)
class InputSummary:
    """One row or figure per image.

    `means` (n, C); `deviations` (n,): of an image's pixels around its means; `smoothness` (n,):
    correlation of horizontal neighbours; `colour` (n,): 1 less the correlation of the first and
    the last channel, 1 where there is one channel; `layouts` (n, C * 16): means of a 4 x 4 grid;
    `confidence` (n,): log(p K) / log(K) of the largest of K probabilities p, 0 for a guess.
    """

    means: NDArray[np.float64]
    deviations: NDArray[np.float64]
    smoothness: NDArray[np.float64]
    colour: NDArray[np.float64]
    layouts: NDArray[np.float64]
    confidence: NDArray[np.float64]


class InputWatch:
    """Takes the figures of a stream of images and of the logits they gave."""

    def __init__(self) -> None:
        self._rows: list[tuple[NDArray[np.float64], ...]] = []

    def add(self, images: NDArray[np.float32], logits: NDArray[np.float32]) -> None:
        """Look at float32 (n, C, H, W) and their logits or probabilities (n, classes)."""
        room = _WATCHED - len(self._rows)
        images = images if images.ndim == 4 else images.reshape(len(images), 1, 1, -1)
        sure = _confidence(logits.reshape(len(images), -1)[:room])
        for image, figure in zip(images[:room], sure, strict=True):
            self._rows.append((*_figures(image), figure))

    def summary(self) -> InputSummary:
        """Return the figures of the images seen, of which there must be one."""
        return InputSummary(*(np.stack(column) for column in zip(*self._rows, strict=True)))


def domain_notes(inputs: InputSummary) -> list[str]:
    """Return one warning for each way in which the images look unlike a calibration set."""
    count, notes = len(inputs.means), []
    flat = int((inputs.deviations < _BLANK).sum())
    grey = int((inputs.colour < _GREY).sum())
    mean = inputs.means.mean(axis=0)
    far = float(mean[np.abs(mean).argmax()])
    smooth = float(np.median(inputs.smoothness))
    if flat > 0.1 * count:
        notes.append(f"{flat} of {count} are of one colour")
    elif smooth < _ROUGH:
        notes.append(
            f"they look like noise: neighbouring pixels correlate by {smooth:.2f} (pictures: 0.9)"
        )
    elif grey > 0.5 * count:
        notes.append(f"{grey} of {count} are grey")
    if abs(far) > _FAR_MEAN:
        notes.append(f"a channel has the mean {far:.1f} where the contract implies 0")
    spread = float(inputs.layouts.std(axis=0).mean())
    if count > 1 and flat < count and spread < _ALIKE * float(np.median(inputs.deviations)):
        notes.append(f"the {count} are almost equal to each other")
    sure = float(np.median(inputs.confidence))
    if sure < _UNSURE:
        notes.append("the model is hardly surer of them than of a guess")
    return [f"warning: calibration images: {note}" for note in notes]


def _figures(image: NDArray[np.float32]) -> tuple[NDArray[np.float64], ...]:
    """Return mean, deviation, smoothness, colour and layout of one image."""
    height = image.shape[1]
    chosen = np.linspace(0, height - 1, min(height, _ROWS)).astype(np.int64)
    lines = image[:, chosen]
    means = lines.mean(axis=(1, 2), dtype=np.float64)
    around = lines - means.astype(np.float32)[:, None, None]
    power = float(np.square(around).mean(dtype=np.float64))
    across = _correlation(around[:, :, :-1], around[:, :, 1:])
    colour = 1.0 - _correlation(around[0], around[-1]) if len(image) > 1 else 1.0
    parts = [np.array_split(row, _GRID, axis=2) for row in np.array_split(lines, _GRID, axis=1)]
    cells = [cell for row in parts for cell in row if cell.size]
    layout = np.concatenate([cell.mean(axis=(1, 2), dtype=np.float64) for cell in cells])
    return means, np.asarray(power**0.5), np.asarray(across), np.asarray(colour), layout


def _correlation(first: NDArray[np.float32], second: NDArray[np.float32]) -> float:
    """Return the correlation of values whose mean is about zero; 1 where there is no signal."""
    power = float(np.vdot(first, first)) * float(np.vdot(second, second))
    return float(np.vdot(first, second)) / power**0.5 if power > 1e-12 else 1.0


def _confidence(scores: NDArray[np.float32]) -> NDArray[np.float64]:
    """Return log(p K) / log(K) of the largest probability in each row; 1 for a single class."""
    classes = scores.shape[1]
    if classes < 2:
        return np.ones(len(scores))
    values = scores.astype(np.float64)
    sums = values.sum(axis=1, keepdims=True)
    if (values >= 0.0).all() and np.allclose(sums, 1.0, atol=1e-3):
        likely = values.max(axis=1)  # the graph ends in a softmax
    else:
        powers = np.exp(values - values.max(axis=1, keepdims=True))
        likely = powers.max(axis=1) / powers.sum(axis=1)
    return np.asarray(np.log(likely * classes) / np.log(classes))
