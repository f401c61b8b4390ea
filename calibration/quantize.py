"""From a float model and images to a model with Q/DQ: the one function that does it all."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

import numpy as np
import onnx
from numpy.typing import NDArray

from calibration.choose import (
    EFFORTS,
    FIRST_METHOD,
    SMALL_WEIGHT_MOMENTS,
    Effort,
    choose,
    group_histograms,
    levels_for,
)
from calibration.collect import Batches, Statistics, collect, unstable
from calibration.errors import CalibrationError
from calibration.execute import logits_of
from calibration.graph import Graph, prepare
from calibration.insert import insert_qdq
from calibration.methods import METHODS
from calibration.moments import Moments, input_moments
from calibration.network import Network, rounded_model
from calibration.placement import Placement, int8_mac_share, place
from calibration.repair.bias import needs_mean_image, window_means
from calibration.repair.equalize import Domain
from calibration.repair.recentre import recentre
from calibration.repair.shifts import regions
from calibration.schemes import Scheme
from calibration.sqnr import sqnr_db
from calibration.table import CalibrationTable, Range

__all__ = ["Quantized", "quantize"]

_CHECK_IMAGES = 32
_LAYERS = ("Conv", "Gemm", "MatMul")
_Report = Callable[[str, int, int], None]
_Gains = Mapping[Domain, NDArray[np.float32]]


@dataclass(frozen=True)
class Quantized:
    """A model with Q/DQ, the ranges it was made with, and what became of its layers.

    `int8_mac_share` counts the multiply-accumulates of all convolutions but the depthwise ones,
    `int8_mac_share_all` those too. `float_reasons` says for every Conv, Gemm and MatMul that
    stays float why it does. `notes` is what a reader of the result should know.
    """

    model: onnx.ModelProto
    table: CalibrationTable
    int8_mac_share: float
    int8_mac_share_all: float
    quantized: int
    float_layers: int
    float_reasons: dict[str, str]
    notes: tuple[str, ...]


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
    progress: _Report | None = None,
) -> Quantized:
    """Return `model` in INT8 for `scheme`, calibrated on the images of `batches`.

    `method` is one of METHODS for every tensor, or "auto": by the error of the logits, as far as
    `effort` goes. `images` are the digests of the images, in any order. Raises CalibrationError
    for an unknown method or effort, for a model that cannot be quantized, and for bad images.
    """
    _check_names(method, effort)
    report = progress or _silent
    tries = EFFORTS[effort]
    ready = prepare(model)
    placement = place(ready, scheme)
    graph = Graph(ready)
    statistics = _statistics(ready, graph, placement, batches, tries, seed, len(images), report)
    network = _network(ready, graph, placement, scheme, statistics, tries, method, report)
    symmetric = scheme.activations == "int8"
    found = regions(graph, placement) if symmetric else ()
    recentred = frozenset(pair.group for region in found for pair in region.pairs)
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
    )
    builder = _Builder(network, scheme, recentred, blank)
    plain = builder.ranges(statistics, FIRST_METHOD if method == "auto" else method)
    notes = _convergence_notes(statistics)
    if method != "auto" or not tries.images:
        return builder.build(plain, {}, notes)
    chosen = choose(
        network,
        scheme,
        statistics,
        tries,
        recentred,
        progress=lambda done, total: report("choosing ranges", done, total),
    )
    tuned = builder.build(chosen.ranges, chosen.gains, notes)
    return _better(tuned, builder.build(plain, {}, notes), ready, statistics, tries)


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
    if scheme.weight_bits < 8 and tries.kept:
        count = max(count, SMALL_WEIGHT_MOMENTS)
    moments: dict[str, Moments] = {}
    if count and method == "auto":
        report("measuring layer inputs", 0, 1)
        moments = input_moments(ready, layers, statistics.images[:count])
        report("measuring layer inputs", 1, 1)
    return Network(ready, graph, placement, scheme.weight_bits, means, moments)


@dataclass(frozen=True)
class _Builder:
    """Turns ranges and gains into a model with Q/DQ."""

    network: Network
    scheme: Scheme
    recentred: frozenset[str]
    blank: CalibrationTable

    def ranges(self, statistics: Statistics, method: str) -> dict[str, Range]:
        """Return the range of every pair by one method."""
        placement = self.network.placement
        histograms = {name: found.histogram for name, found in statistics.tensors.items()}
        spans = {
            group: METHODS[method](
                histogram, levels_for(self.scheme, recentred=group in self.recentred)
            )
            for group, histogram in group_histograms(placement, histograms).items()
        }
        return {pair.tensor: spans[pair.group] for pair in placement.pairs}

    def build(self, ranges: dict[str, Range], gains: _Gains, notes: list[str]) -> Quantized:
        """Return the quantized model."""
        network, scheme = self.network, self.scheme
        ready, placement = rounded_model(network, gains), network.placement
        notes = [*notes, *_equalization_notes(gains)]
        if self.recentred:
            shifted = recentre(ready, placement, ranges, weight_bits=scheme.weight_bits)
            ready, placement, ranges = shifted.model, shifted.placement, shifted.ranges
            notes.append(f"recentred {len(shifted.shifts)} tensors that are never negative")
        kept = {pair.tensor: ranges[pair.tensor] for pair in placement.pairs}
        table = replace(self.blank, ranges=kept, notes=tuple(notes))
        graph, original = network.graph, network.placement
        layers = [n.name for n in graph.nodes if n.op_type in _LAYERS]
        reasons = {n: original.float_reasons[n] for n in layers if n in original.float_reasons}
        return Quantized(
            model=insert_qdq(ready, placement, table, scheme),
            table=table,
            int8_mac_share=int8_mac_share(graph, original),
            int8_mac_share_all=int8_mac_share(graph, original, depthwise=True),
            quantized=len(original.int8_nodes),
            float_layers=len(layers) - len(original.int8_nodes),
            float_reasons=reasons,
            notes=tuple(notes),
        )


def _better(
    first: Quantized,
    second: Quantized,
    ready: onnx.ModelProto,
    statistics: Statistics,
    tries: Effort,
) -> Quantized:
    """Return the one with less error on images that no trial saw, where there are such."""
    unseen = statistics.images[tries.images : tries.images + _CHECK_IMAGES]
    images = unseen if len(unseen) else statistics.images
    wanted = logits_of(ready, images)
    chosen, plain = (sqnr_db(wanted, logits_of(made.model, images)) for made in (first, second))
    return first if chosen >= plain else second


def _convergence_notes(statistics: Statistics) -> list[str]:
    stable, moved = unstable(statistics)
    if statistics.samples < 16:
        return [f"calibrated on {statistics.samples} images: too few to say whether ranges hold"]
    if not moved:
        return [f"ranges stable after {stable} images"]
    worst = max(moved, key=lambda tensor: moved[tensor])
    return [
        f"ranges not converged: {len(moved)} of {len(statistics.tensors)} still moved by more "
        f"than 10 % over the last half of {statistics.samples} images, most of all {worst!r} by "
        f"{moved[worst]:.0%}"
    ]


def _equalization_notes(gains: _Gains) -> list[str]:
    if not gains:
        return []
    capped = [domain for domain in gains if np.isfinite(domain.cap)]
    notes = [f"equalized {len(gains)} activations"]
    if capped:
        channels = sum(int((gains[domain] > 1.0).sum()) for domain in capped)
        notes.append(
            f"change of function: {channels} channels of {len(capped)} Clip activations, which "
            "never reached the upper bound in calibration, reach it earlier now"
        )
    return notes


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
