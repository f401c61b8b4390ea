"""The model with Q/DQ, emitted from ranges that are chosen: weights, biases, shifts and pairs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
import onnx
from numpy.typing import NDArray

from calibration.graph import Graph
from calibration.insert import insert_qdq
from calibration.network import Network, rounded_model
from calibration.placement import Placement, int8_mac_share
from calibration.repair.equalize import Domain
from calibration.repair.pixels import PIXEL_NOTE, PIXELS
from calibration.repair.recentre import recentre
from calibration.repair.shifts import explicit_region, regions
from calibration.schemes import Scheme
from calibration.table import CalibrationTable, Range

__all__ = ["Gains", "Quantized", "Recipe", "emit", "recentred_groups"]

Gains = Mapping[Domain, NDArray[np.float32]]
"""What each channel of an equalized activation is multiplied with."""
_LAYERS = ("Conv", "Gemm", "MatMul")


@dataclass(frozen=True)
class Recipe:
    """All that emission needs. `ranges` are those before recentring, `blank` a table without any.

    A recipe with another placement in its network gives the same model with other layers in float,
    as long as `ranges` holds every pair of it. `explicit` are the tensors that a Sub recentres.
    """

    network: Network
    scheme: Scheme
    ranges: dict[str, Range]
    gains: Gains
    blank: CalibrationTable
    notes: tuple[str, ...]
    explicit: frozenset[str] = frozenset()


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
    recipe: Recipe


def emit(recipe: Recipe) -> Quantized:
    """Return the model with Q/DQ that `recipe` describes."""
    network, scheme, ranges = recipe.network, recipe.scheme, recipe.ranges
    graph, original = network.graph, network.placement
    ready, placement = rounded_model(network, recipe.gains), original
    notes = [*recipe.notes, *_equalization_notes(recipe.gains)]
    if recentred_groups(graph, original, scheme, recipe.explicit):
        shifted = recentre(
            ready,
            placement,
            ranges,
            weight_bits=scheme.weight_bits,
            explicit=sorted(recipe.explicit),
        )
        ready, placement, ranges = shifted.model, shifted.placement, shifted.ranges
        free = len(shifted.shifts) - shifted.explicit
        notes += [f"recentred {free} tensors that are never negative"] if free else []
        if shifted.explicit:
            notes.append(f"recentred {shifted.explicit} tensors by a Sub each, an operation more")
    kept = {pair.tensor: ranges[pair.tensor] for pair in placement.pairs}
    if any(span.method == PIXELS for span in kept.values()):
        notes.append(PIXEL_NOTE)
    table = replace(recipe.blank, ranges=kept, notes=tuple(notes))
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
        recipe=recipe,
    )


def recentred_groups(
    graph: Graph, placement: Placement, scheme: Scheme, explicit: frozenset[str] = frozenset()
) -> frozenset[str]:
    """Return the groups of pairs that will be recentred, those of `explicit` tensors by a Sub."""
    if not scheme.shifts_activations:
        return frozenset()
    added = (explicit_region(graph, placement, tensor) for tensor in sorted(explicit))
    found = [*regions(graph, placement), *(region for region in added if region is not None)]
    return frozenset(pair.group for region in found for pair in region.pairs)


def _equalization_notes(gains: Gains) -> list[str]:
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
