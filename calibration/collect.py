"""Statistics of the float activations: one pass over the images, in constant memory."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import onnx
from numpy.typing import NDArray

from calibration.errors import CalibrationError
from calibration.execute import Runner, batch_limit, in_turn
from calibration.graph import Graph
from calibration.histogram import Histogram
from calibration.inputs import InputSummary, InputWatch
from calibration.methods import METHODS
from calibration.probes import Probe, non_negative, with_probes

__all__ = ["Batches", "Statistics", "TensorStatistics", "collect", "unstable"]

Batches = Callable[[], Iterable[NDArray[np.float32]]]
"""Called once per pass over the images; yields float32 (n, C, H, W)."""

_RUN_SIZE = 2
"""Images per run, two runs at once: four take the same time and more memory (MobileNetV2)."""
_MEAN_IMAGES = 64
"""Images behind a mean image. A mean over images and positions is steady long before."""
_FIRST_SNAPSHOT = 16
_KEPT_BYTES = 96 << 20


@dataclass(frozen=True)
class TensorStatistics:
    """One tensor over all images; low, high and mean per channel are over every element.

    `low` is 0 where the graph proves that nothing is negative. `mean_image` (C, H, W) is the
    mean over the first 64 images alone; None unless asked for.
    """

    histogram: Histogram
    low: NDArray[np.float32]
    high: NDArray[np.float32]
    mean: NDArray[np.float64]
    mean_image: NDArray[np.float32] | None


@dataclass(frozen=True)
class Statistics:
    """`images` is a random sample of the images seen, for steps that run the network again.

    `history` holds, for 16, 32, 64, ... and all images, the range of each tensor at that moment.
    `inputs` tells whether the images look like what the model was made for.
    """

    samples: int
    tensors: dict[str, TensorStatistics]
    images: NDArray[np.float32]
    history: dict[int, dict[str, float]]
    inputs: InputSummary


def collect(
    model: onnx.ModelProto,
    batches: Iterable[NDArray[np.float32]],
    *,
    tensors: Sequence[str],
    mean_images: Collection[str] = (),
    keep: int = 0,
    seed: int = 0,
    progress: Callable[[int], None] | None = None,
) -> Statistics:
    """Return the statistics of `tensors` over all images of `batches`, in one pass.

    The result does not depend on how the images are cut into batches. Raises CalibrationError
    when there is no image, one has the wrong shape, or a tensor holds NaN or infinity.
    """
    graph = Graph(model)
    positive = non_negative(graph)
    probes = [
        Probe(graph, i, name, signed=name not in positive, image=name in mean_images)
        for i, name in enumerate(tensors)
    ]
    reservoir = _Reservoir(keep, np.random.default_rng(seed))
    history: dict[int, dict[str, float]] = {}
    watch, logits = InputWatch(), graph.outputs[0]
    seen = 0
    first = _MEAN_IMAGES if mean_images else 0
    for batch, values in in_turn(_observe, _observations(model, probes, batches, first=first)):
        for probe in probes:
            probe.add(values, len(batch))
        watch.add(batch, values[logits])
        reservoir.add(batch)
        seen += len(batch)
        if seen >= _FIRST_SNAPSHOT and seen & (seen - 1) == 0:
            history[seen] = _ranges(probes)
        if progress is not None:
            progress(seen)
    if seen == 0:
        raise CalibrationError(
            "There are no calibration images.",
            next_command="edgekit calibrate MODEL.onnx --images DIR",
        )
    history[seen] = _ranges(probes)
    found = {probe.tensor: _found(probe, seen) for probe in probes}
    return Statistics(seen, found, reservoir.images(), history, watch.summary())


def unstable(statistics: Statistics, *, tolerance: float = 0.1) -> tuple[int, dict[str, float]]:
    """Return after how many images the ranges were stable, and which tensors still moved.

    Stable after n: no range at n or later differs from the last one by more than `tolerance`
    of it. The second value holds the change since half of the images, where it is larger.
    """
    counts = sorted(statistics.history)
    last = statistics.history[counts[-1]]

    def change(count: int, tensor: str) -> float:
        return abs(statistics.history[count][tensor] / last[tensor] - 1.0) if last[tensor] else 0.0

    stable = counts[-1]
    for count in reversed(counts[:-1]):
        if any(change(count, tensor) > tolerance for tensor in last):
            break
        stable = count
    half = max((n for n in counts if n <= statistics.samples / 2), default=None)
    if half is None:
        return stable, {}
    moved = {tensor: change(half, tensor) for tensor in last}
    return stable, {tensor: moved[tensor] for tensor in last if moved[tensor] > tolerance}


def runs(
    batches: Iterable[NDArray[np.float32]], graph: Graph, size: int
) -> Iterator[NDArray[np.float32]]:
    """Cut batches into runs of at most `size` images that end at every power of two.

    Raises CalibrationError for a batch that the model does not read.
    """
    expected = graph.shape(graph.inputs[0]) or ()
    limit = batch_limit(graph, size)
    seen = 0
    for batch in batches:
        fits = batch.dtype == np.float32 and batch.ndim == len(expected)
        if not fits or any(
            want not in (None, have)
            for want, have in zip(expected[1:], batch.shape[1:], strict=True)
        ):
            raise CalibrationError(
                f"A calibration batch is {batch.dtype} {batch.shape}; the model reads float32 "
                f"{expected}.",
                next_command="edgekit inspect MODEL.onnx",
            )
        start = 0
        while start < len(batch):
            until = (1 << seen.bit_length()) - seen
            count = min(limit, until, len(batch) - start)
            yield batch[start : start + count]
            start, seen = start + count, seen + count


@dataclass(frozen=True)
class _Observation:
    """A run to come: its images, who runs them, and what to ask for."""

    runner: Runner
    source: str
    outputs: list[str]
    batch: NDArray[np.float32]


def _observe(run: _Observation) -> tuple[NDArray[np.float32], dict[str, NDArray[np.float32]]]:
    return run.batch, run.runner.run({run.source: run.batch}, run.outputs)


def _observations(
    model: onnx.ModelProto,
    probes: Sequence[Probe],
    batches: Iterable[NDArray[np.float32]],
    *,
    first: int,
) -> Iterator[_Observation]:
    """Yield the runs over all images; the `first` ones give mean images, too."""
    graph, seen, runner, images = Graph(model), 0, None, first > 0
    for batch in runs(batches, graph, _RUN_SIZE):
        if runner is None or (images and seen >= first):
            images = images and seen < first
            runner = Runner(with_probes(model, probes, images=images))
            outputs = [name for probe in probes for name in probe.outputs(images=images)]
            outputs.append(graph.outputs[0])
        yield _Observation(runner, graph.inputs[0], outputs, batch)
        seen += len(batch)


class _Reservoir:
    """A uniform sample of a stream of images, of at most `size` images and _KEPT_BYTES."""

    def __init__(self, size: int, rng: np.random.Generator) -> None:
        self._size = size
        self._rng = rng
        self._images = np.empty((0,), np.float32)
        self._seen = 0

    def add(self, batch: NDArray[np.float32]) -> None:
        if self._size and not self._seen:
            room = min(self._size, max(1, _KEPT_BYTES // max(batch[0].nbytes, 1)))
            self._images = np.empty((room, *batch.shape[1:]), np.float32)  # used as it fills
        room = len(self._images)
        for image in batch if room else ():
            self._seen += 1
            full = self._seen > room
            place = int(self._rng.integers(self._seen)) if full else self._seen - 1
            if place < room:
                self._images[place] = image

    def images(self) -> NDArray[np.float32]:
        return self._images[: self._seen]


def _ranges(probes: Sequence[Probe]) -> dict[str, float]:
    return {probe.tensor: METHODS["percentile"](probe.histogram, 127).amax for probe in probes}


def _found(probe: Probe, samples: int) -> TensorStatistics:
    image = None if probe.image_total is None else probe.image_total / np.float32(probe.image_count)
    mean = probe.total / samples
    return TensorStatistics(probe.histogram, probe.low, probe.high, mean, image)
