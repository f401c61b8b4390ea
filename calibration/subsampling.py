"""What the histograms lose by counting a part of the elements: measured on the first images.

Low, high and means count every element; a histogram counts about 4096 of a tensor per image
(`probes`). Over the first images both are known, so the difference that it makes is reported.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import islice

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import helper

from calibration.collect import runs
from calibration.execute import Runner
from calibration.graph import Graph
from calibration.histogram import Histogram
from calibration.methods import METHODS
from calibration.probes import Probe, non_negative, with_probes

__all__ = ["SamplingEffect", "sampling_effect"]

_IMAGES = 16


@dataclass(frozen=True)
class SamplingEffect:
    """How far ranges from sampled histograms lie from those of every element.

    `sampled` tensors are counted in part, the others whole. `median` and `largest` are relative
    to the range of every element; `tensor` has the largest. With more images the difference
    shrinks: `images` times 4096 elements stand behind it here.
    """

    images: int
    sampled: int
    median: float
    largest: float
    tensor: str


def sampling_effect(
    model: onnx.ModelProto,
    batches: Iterable[NDArray[np.float32]],
    *,
    tensors: Sequence[str],
    images: int = _IMAGES,
) -> SamplingEffect | None:
    """Return the effect on the ranges of `tensors`; None where every element is counted."""
    graph = Graph(model)
    positive = non_negative(graph)
    probes = [
        Probe(graph, i, name, signed=name not in positive, image=False)
        for i, name in enumerate(tensors)
    ]
    probes = [probe for probe in probes if probe.sampled]
    if not probes:
        return None
    outputs = [*(n for p in probes for n in p.outputs(images=False)), *(p.tensor for p in probes)]
    runner = Runner(_giving(with_probes(model, probes, images=False), outputs))
    whole = {probe.tensor: Histogram() for probe in probes}
    seen = 0
    first = islice(runs(batches, graph, 1), images)
    for values in runner.run_each(graph.inputs[0], first, outputs):
        for probe in probes:
            probe.add(values, 1)
            whole[probe.tensor].add(values[probe.tensor])
        seen += 1
    changes = {p.tensor: _change(p.histogram, whole[p.tensor]) for p in probes}
    worst = max(changes, key=lambda tensor: changes[tensor])
    median = float(np.median(list(changes.values())))
    return SamplingEffect(seen, len(probes), median, changes[worst], worst)


def _change(sampled: Histogram, whole: Histogram) -> float:
    found, exact = (METHODS["percentile"](part, 127).amax for part in (sampled, whole))
    return abs(found / exact - 1.0) if exact else 0.0


def _giving(model: onnx.ModelProto, names: Sequence[str]) -> onnx.ModelProto:
    """Let `model` give out `names` too."""
    known = {value.name for value in (*model.graph.input, *model.graph.output)}
    missing = [name for name in dict.fromkeys(names) if name not in known]
    model.graph.output.extend(helper.make_empty_tensor_value_info(name) for name in missing)
    return model
