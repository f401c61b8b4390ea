"""What a search starts from: the calibrated model, its three sets of images and what is known."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from calibration.emit import Quantized
from calibration.keep_float import layer_errors
from calibration.quantize import quantize
from calibration.schemes import Scheme
from toolkit.artifacts import OnnxModel
from toolkit.calibrate.pixel_levels import levels_of
from toolkit.datasets.folder import batches
from toolkit.onnx_model.file import read_onnx
from toolkit.progress import Progress, ProgressCallback
from toolkit.tune.evaluate import Evaluator
from toolkit.tune.journal import Journal, open_journal
from toolkit.tune.split import Split, split_images

__all__ = ["Setting", "open_setting"]

_BATCH = 8
_RANKING_IMAGES = 16
"""Calibration images, without labels, that layers are ranked on."""


@dataclass(frozen=True)
class Setting:
    """One model to tune. `made` is all of it in INT8, `sample` inputs to rank its layers on."""

    source: OnnxModel
    split: Split
    made: Quantized
    sample: NDArray[np.float32]
    journal: Journal
    evaluator: Evaluator
    threads: int
    progress: ProgressCallback

    @cached_property
    def ranking(self) -> dict[str, float]:
        """Return every INT8 layer with its error, the largest first; found out at first use."""
        layers = self.made.recipe.network.placement.int8_nodes

        def told(done: int, total: int) -> None:
            self.progress(Progress("rank layers", done, total))

        return self.evaluator.ranking(
            lambda: layer_errors(self.made.recipe, self.sample, progress=told),
            self.made.table.digest,
            layers=layers,
            images=len(self.sample),
        )


def open_setting(
    source: OnnxModel,
    scheme: Scheme,
    *,
    images: Path,
    calibration_images: Path | None,
    samples: int,
    limit: int | None,
    method: str,
    effort: str,
    seed: int,
    threads: int,
    journal: Path,
    progress: ProgressCallback,
) -> Setting:
    """Split the images, read what `journal` holds and calibrate `source` for `scheme`.

    Raises InputError for too few images and a damaged journal, before anything is calibrated, and
    what `split_images` and `quantize` raise.
    """
    split = split_images(
        images,
        source.contract,
        calibration_images=calibration_images,
        samples=samples,
        limit=limit,
        seed=seed,
        progress=progress,
    )
    opened = open_journal(journal)
    return Setting(
        source=source,
        split=split,
        made=_calibrated(source, split, scheme, method, effort, seed, progress),
        sample=_first_inputs(source, split),
        journal=opened,
        evaluator=Evaluator(opened, threads=threads, progress=progress),
        threads=threads,
        progress=progress,
    )


def _calibrated(
    source: OnnxModel,
    split: Split,
    scheme: Scheme,
    method: str,
    effort: str,
    seed: int,
    progress: ProgressCallback,
) -> Quantized:
    def data() -> Iterable[NDArray[np.float32]]:
        preprocess = source.contract.preprocess
        return (x for x, _ in batches(split.calibration, preprocess, batch_size=_BATCH))

    return quantize(
        read_onnx(source.path),
        data,
        scheme=scheme,
        method=method,
        effort=effort,
        levels=levels_of(source.contract.preprocess),
        seed=seed,
        model_digest=source.digest,
        images=split.calibration_digests,
        progress=lambda step, done, total: progress(Progress(step, done, total)),
    )


def _first_inputs(source: OnnxModel, split: Split) -> NDArray[np.float32]:
    first = split.calibration[:_RANKING_IMAGES]
    preprocess = source.contract.preprocess
    return np.concatenate([x for x, _ in batches(first, preprocess, batch_size=_BATCH)])
