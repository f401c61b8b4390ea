"""From a float model and images to a model with Q/DQ: the one function that does it all."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import onnx
from numpy.typing import NDArray

from calibration.choose import FIRST_METHOD, choose, group_histograms, levels_for
from calibration.collect import Batches, Statistics, collect
from calibration.efforts import EFFORTS, SMALL_WEIGHT_MOMENTS, Effort
from calibration.emit import Quantized, Recipe, emit, recentred_groups
from calibration.errors import CalibrationError
from calibration.graph import Graph, prepare
from calibration.methods import METHODS
from calibration.moments import Moments, input_moments
from calibration.network import Network
from calibration.placement import Placement, place
from calibration.remarks import remarks
from calibration.repair.bias import needs_mean_image, window_means
from calibration.repair.one_sided import check_explicit, one_sided
from calibration.repair.pixels import Levels, with_pixel_codes
from calibration.schemes import Scheme
from calibration.subsampling import sampling_effect
from calibration.table import CalibrationTable, Range
from calibration.unseen import Candidate, best_unseen

__all__ = ["quantize"]

_Report = Callable[[str, int, int], None]


def quantize(
    model: onnx.ModelProto,
    batches: Batches,
    *,
    scheme: Scheme,
    method: str = "auto",
    effort: str = "balanced",
    seed: int = 0,
    model_digest: str,
    images: tuple[str, ...] = (),
    uncalibrated: bool = False,
    explicit_shifts: bool = False,
    levels: Levels | None = None,
    progress: _Report | None = None,
) -> Quantized:
    """Return `model` in INT8 for `scheme`, calibrated on the images of `batches`.

    `method` is one of METHODS for every tensor, or "auto": by the error of the logits, as far as
    `effort` goes. `images` are the digests of the images, in any order. With `explicit_shifts`,
    activations such as SiLU, which go a little below zero, are recentred by a Sub of their own.
    `levels` are those of 8-bit pictures in the network input: where activations are symmetric, the
    picture is then quantized on them and loses nothing.
    Raises CalibrationError for an unknown method or effort, for a model that cannot be quantized,
    for bad images, and for shifts where the runtime has zero-points.
    """
    _check_names(method, effort)
    if explicit_shifts:
        check_explicit(scheme)
    report = progress or _silent
    tries = EFFORTS[effort]
    ready, placement, pinned = _placed(model, scheme, levels)
    graph = Graph(ready)
    statistics = _statistics(ready, graph, placement, batches, tries, seed, len(images), report)
    network = _network(ready, graph, placement, scheme, statistics, tries, method, report)
    network = replace(network, pinned=pinned)
    explicit = one_sided(graph, placement, statistics) if explicit_shifts else frozenset()
    explicit -= pinned.keys()
    recentred = recentred_groups(graph, placement, scheme, explicit)
    blank = CalibrationTable(
        model=model_digest,
        method=method,
        samples=statistics.samples,
        seed=seed,
        ranges={},
        images=images,
        uncalibrated=uncalibrated,
        effort=effort,
        scheme=scheme.name,
        explicit_shifts=explicit_shifts,
    )
    effect = sampling_effect(ready, batches(), tensors=list(statistics.tensors))
    notes = remarks(statistics, effect, uncalibrated=uncalibrated)

    alike = tries.rounds_trials or scheme.weight_bits < 8 or not network.moments
    tried = network if alike else network.rounding_to_nearest()

    def plain(method: str) -> Recipe:
        ranges = _ranges(network, scheme, statistics, method, recentred)
        return Recipe(tried, scheme, ranges, {}, blank, notes, explicit)

    if method != "auto":
        return emit(plain(method))
    first = plain(FIRST_METHOD)
    candidates: list[Candidate] = [(first, plain("minmax").ranges)]
    if tries.images:
        chosen = choose(
            tried,
            scheme,
            statistics,
            tries,
            recentred,
            progress=lambda done, total: report("choosing ranges", done, total),
        )
        tuned = replace(first, ranges=chosen.ranges, gains=chosen.gains)
        candidates.insert(0, (tuned, chosen.widest))
    best = best_unseen(candidates, ready, _unseen(statistics, tries))
    return best if alike else emit(replace(best.recipe, network=network))


def _placed(
    model: onnx.ModelProto, scheme: Scheme, levels: Levels | None
) -> tuple[onnx.ModelProto, Placement, dict[str, Range]]:
    """Return the prepared model, its placement, and the ranges that are known beforehand."""
    ready = prepare(model)
    placement = place(ready, scheme)
    if levels is None or not scheme.shifts_activations:
        return ready, placement, {}
    coded = with_pixel_codes(ready, placement, levels)
    if coded is None:
        return ready, placement, {}
    return coded.model, place(coded.model, scheme), {coded.tensor: coded.span}


def _unseen(statistics: Statistics, tries: Effort) -> NDArray[np.float32]:
    """Return the kept images that no trial saw, or all of them where there are too few."""
    unseen = statistics.images[tries.images :]
    return unseen if len(unseen) else statistics.images


def _statistics(
    ready: onnx.ModelProto,
    graph: Graph,
    placement: Placement,
    batches: Batches,
    tries: Effort,
    seed: int,
    total: int,
    report: _Report,
) -> Statistics:
    layers = [graph.node(pair.use.node) for pair in placement.weights]
    return collect(
        ready,
        batches(),
        tensors=[pair.tensor for pair in placement.pairs],
        mean_images=[node.input[0] for node in layers if needs_mean_image(graph, node)],
        keep=tries.kept,
        seed=seed,
        progress=lambda done: report("reading activations", done, max(total, done)),
    )


def _network(
    ready: onnx.ModelProto,
    graph: Graph,
    placement: Placement,
    scheme: Scheme,
    statistics: Statistics,
    tries: Effort,
    method: str,
    report: _Report,
) -> Network:
    layers = [
        node
        for node in (graph.node(pair.use.node) for pair in placement.weights)
        if len(node.input) > 2 and graph.constant(node.input[2]) is not None
    ]
    means = {n.name: window_means(graph, n, statistics.tensors[n.input[0]]) for n in layers}
    count = tries.moment_images
    if scheme.weight_bits < 8 and tries.images:
        count = max(count, SMALL_WEIGHT_MOMENTS)
    moments: dict[str, Moments] = {}
    if count and method == "auto":
        report("measuring layer inputs", 0, 1)
        moments = input_moments(ready, layers, statistics.images[:count])
        report("measuring layer inputs", 1, 1)
    return Network(ready, graph, placement, scheme.weight_bits, means, moments)


def _ranges(
    network: Network,
    scheme: Scheme,
    statistics: Statistics,
    method: str,
    recentred: frozenset[str],
) -> dict[str, Range]:
    """Return the range of every pair by one method."""
    placement = network.placement
    histograms = {name: found.histogram for name, found in statistics.tensors.items()}
    spans = {
        group: network.pinned.get(group)
        or METHODS[method](histogram, levels_for(scheme, recentred=group in recentred))
        for group, histogram in group_histograms(placement, histograms).items()
    }
    return {pair.tensor: spans[pair.group] for pair in placement.pairs}


def _check_names(method: str, effort: str) -> None:
    for kind, name, known in (
        ("method", method, ("auto", *METHODS)),
        ("effort", effort, tuple(EFFORTS)),
    ):
        if name not in known:
            raise CalibrationError(
                f"Unknown {kind} {name!r}; known are {', '.join(known)}.",
                next_command=f"edgekit calibrate MODEL.onnx --images DIR --{kind} {known[0]}",
            )


def _silent(step: str, done: int, total: int) -> None:
    """Report to nobody."""
