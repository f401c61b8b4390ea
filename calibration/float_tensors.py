"""A range for every float tensor of a graph: what implicit INT8 (a calibration cache) asks for.

Q/DQ needs a range only where a pair stands. A calibration cache needs one for each tensor: the DLA
runs nothing in INT8 that reads or writes a tensor without.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import onnx
from onnx import TensorProto

from calibration.collect import Batches, collect
from calibration.graph import Graph
from calibration.methods import METHODS
from calibration.place_tensorrt import range_groups
from calibration.table import Range

__all__ = ["complete_ranges", "float_tensors"]

_CUT = frozenset({"Relu", "Clip"})
_SYMMETRIC_LEVELS = 127


def float_tensors(graph: Graph) -> tuple[str, ...]:
    """Return the input and every computed float tensor, in the order of the graph."""
    values = (*graph.model.graph.input, *graph.model.graph.value_info, *graph.model.graph.output)
    floats = {v.name for v in values if v.type.tensor_type.elem_type == TensorProto.FLOAT}
    order = [*graph.inputs, *(name for node in graph.nodes for name in node.output if name)]
    return tuple(name for name in order if name in floats)


def complete_ranges(
    model: onnx.ModelProto,
    given: Mapping[str, Range],
    *,
    batches: Batches | None = None,
    method: str = "percentile-99.99",
    progress: Callable[[int], None] | None = None,
) -> dict[str, Range]:
    """Return `given` and a range for every other float tensor of a prepared model, where it can.

    What a MaxPool, Concat or Reshape reads and makes gets one range, as the DLA asks for (NVIDIA,
    "DLA Supported Layers and Restrictions"). What only a Relu or Clip reads takes the range of its
    result, into which it is fused. All others are measured on `batches`, by `method`; without
    batches they stay without.
    """
    graph = Graph(model)
    tensors = float_tensors(graph)
    ranges = _joined(graph, {name: given[name] for name in tensors if name in given})
    ranges = _joined(graph, ranges | _before_cuts(graph, ranges))
    missing = [name for name in tensors if name not in ranges]
    if missing and batches is not None:
        found = collect(model, batches(), tensors=missing, progress=progress).tensors
        measured = {
            name: METHODS[method](one.histogram, _SYMMETRIC_LEVELS) for name, one in found.items()
        }
        ranges = _joined(graph, ranges | measured)
    return {name: ranges[name] for name in tensors if name in ranges}


def _joined(graph: Graph, ranges: Mapping[str, Range]) -> dict[str, Range]:
    """Give all tensors of a group the union of their ranges."""
    groups = range_groups(graph)
    spans: dict[str, Range] = {}
    for name, span in ranges.items():
        other = spans.get(groups.root(name), span)
        union = Range(min(span.low, other.low), max(span.high, other.high), other.method)
        spans[groups.root(name)] = union
    tensors = float_tensors(graph)
    return {name: spans[groups.root(name)] for name in tensors if groups.root(name) in spans}


def _before_cuts(graph: Graph, ranges: Mapping[str, Range]) -> dict[str, Range]:
    found: dict[str, Range] = {}
    for node in graph.nodes:
        source = node.input[0] if node.op_type in _CUT else ""
        alone = source and len(graph.uses(source)) == 1 and source not in graph.outputs
        if alone and source not in ranges and node.output[0] in ranges:
            found[source] = ranges[node.output[0]]
    return found
