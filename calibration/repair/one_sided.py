"""Which activations waste codes of symmetric INT8 and have no Clip that recentring could move."""

from __future__ import annotations

from calibration.collect import Statistics
from calibration.errors import CalibrationError
from calibration.graph import Graph
from calibration.placement import Placement
from calibration.repair.shifts import explicit_region, regions
from calibration.schemes import Scheme

__all__ = ["check_explicit", "one_sided"]

_WORTH = 0.75
"""A Sub is an operation more: it must make the step at least a quarter smaller. That of SiLU
nearly halves it; a symmetric bottleneck keeps its own."""


def check_explicit(scheme: Scheme) -> None:
    """Raise CalibrationError where `scheme` has nothing that an explicit shift could improve."""
    if scheme.shifts_activations:
        return
    why = "takes no shifted activation"
    if scheme.activations != "int8":
        why = "has zero-points, which do the same"
    raise CalibrationError(
        f"{scheme.runtime} {why}: explicit shifts are for TensorRT on a GPU.",
        next_command="edgekit calibrate MODEL.onnx --images DIR --target TARGET",
    )


def one_sided(graph: Graph, placement: Placement, statistics: Statistics) -> frozenset[str]:
    """Return the tensors that go below zero, but not far, and that a Sub can recentre."""
    free = {tensor for region in regions(graph, placement) for tensor in region.tensors}
    found = set()
    for pair in placement.pairs:
        seen = statistics.tensors[pair.tensor]
        low, high = min(float(seen.low.min()), 0.0), max(float(seen.high.max()), 0.0)
        symmetric, shifted = max(-low, high) / 127.0, (high - low) / 255.0
        if pair.tensor not in free and 0.0 < shifted <= _WORTH * symmetric:
            found.add(pair.tensor)
    return frozenset(
        tensor for tensor in found if explicit_region(graph, placement, tensor) is not None
    )
