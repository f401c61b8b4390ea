"""Where a shift by a constant can start, travel and end without changing what a graph computes."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass

import onnx

from calibration.graph import Graph, Use
from calibration.nodes import attribute
from calibration.placement import Groups, Pair, Placement

__all__ = ["Region", "explicit_region", "regions"]

_TRAVELS = frozenset(
    {"MaxPool", "Concat", "GlobalAveragePool", "GlobalMaxPool", "Flatten", "Reshape", "Transpose"}
    | {"Squeeze", "Unsqueeze", "Slice", "Split"}
)
"""op(x - c) = op(x) - c. A padded MaxPool pads with the lowest value, not with zero."""


@dataclass(frozen=True)
class Region:
    """Tensors that must all be shifted together, from the activations that make them on.

    `roots` are the Relu and Clip nodes whose bounds move; `absorbers` the layers whose bias takes
    a multiple of the shift; `consumers` the layers whose bias takes it times their weights.
    """

    tensors: tuple[str, ...]
    pairs: tuple[Pair, ...]
    roots: tuple[str, ...]
    consumers: tuple[Use, ...]
    absorbers: dict[str, int]


def regions(graph: Graph, placement: Placement) -> tuple[Region, ...]:
    """Return every region that holds an INT8 tensor and whose uses can all be rewritten."""
    groups = Groups()
    tensors: dict[str, None] = {}
    for node in graph.nodes:
        if _travels(graph, node):
            count = len(node.input) if node.op_type == "Concat" else 1
            groups.join([*node.output, *node.input[:count]])
            tensors.update(dict.fromkeys([*node.input[:count], *node.output]))
        elif _is_root(graph, node):
            tensors[node.output[0]] = None
    members: dict[str, list[str]] = defaultdict(list)
    for tensor in tensors:
        members[groups.root(tensor)].append(tensor)
    paired = {pair.tensor: pair for pair in placement.pairs}
    found = (_region(graph, names, paired) for names in members.values())
    return tuple(region for region in found if region is not None)


def explicit_region(graph: Graph, placement: Placement, tensor: str) -> Region | None:
    """Return the region of a tensor that an inserted Sub shifts, for its INT8 readers alone.

    None where no pair of its own quantizes it, or where a reader has no constant bias.
    """
    pairs = [pair for pair in placement.pairs if pair.tensor == tensor]
    shared = [pair for pair in placement.pairs if pairs and pair.group == pairs[0].group]
    uses = [use for pair in pairs for use in pair.uses]
    if len(shared) != 1 or not uses or tensor in graph.inputs:
        return None
    if not all(use.index == 0 and _adds_constant(graph, graph.node(use.node)) for use in uses):
        return None
    return Region((tensor,), tuple(pairs), (), tuple(uses), {})


def _region(graph: Graph, tensors: list[str], paired: dict[str, Pair]) -> Region | None:
    """Return the region of `tensors`, or None where one producer or use forbids the shift."""
    pairs = [paired[tensor] for tensor in tensors if tensor in paired]
    if not pairs or len({pair.group for pair in pairs}) > 1:
        return None
    roots: list[str] = []
    consumers: list[Use] = []
    absorbers: dict[str, int] = defaultdict(int)
    for tensor in tensors:
        made_by = graph.producer(tensor)
        if made_by is None or tensor in graph.outputs:
            return None
        if not _travels(graph, made_by):
            absorber = _absorber(graph, made_by.input[0], paired)
            if not _is_root(graph, made_by) or absorber is None:
                return None
            roots.append(made_by.name)
            absorbers[absorber] -= 1
        for use in graph.uses(tensor):
            reader = graph.node(use.node)
            if _travels(graph, reader):
                continue
            if use.index == 0 and _adds_constant(graph, reader):
                consumers.append(use)
                continue
            absorber = _operand_absorber(graph, reader, paired)
            if absorber is None:
                return None
            absorbers[absorber] += 1
    return Region(tuple(tensors), tuple(pairs), tuple(roots), tuple(consumers), dict(absorbers))


def _travels(graph: Graph, node: onnx.NodeProto) -> bool:
    if node.op_type == "AveragePool":
        padded = any(attribute(node, "pads", [])) or attribute(node, "ceil_mode", 0)
        return not padded and attribute(node, "auto_pad", b"NOTSET") in (b"NOTSET", b"VALID")
    single = [name for name in node.output if name]
    return node.op_type in _TRAVELS and (len(single) == 1 or node.op_type == "Split")


def _is_root(graph: Graph, node: onnx.NodeProto) -> bool:
    """Return whether a node cuts at zero below and its bounds are known."""
    if node.op_type == "Relu":
        return True
    if node.op_type != "Clip" or len(node.input) < 2:
        return False
    bounds = [graph.constant(name) for name in node.input[1:] if name]
    known = all(bound is not None for bound in bounds)
    return known and bool(node.input[1]) and float(bounds[0] or 0.0) == 0.0


def _adds_constant(graph: Graph, node: onnx.NodeProto) -> bool:
    """Return whether a layer has a constant weight, one row per output, and a constant bias."""
    if node.op_type not in ("Conv", "Gemm") or len(node.input) < 3:
        return False
    rows = node.op_type == "Conv" or bool(attribute(node, "transB", 0))
    return rows and all(graph.constant(name) is not None for name in node.input[1:3])


def _absorber(graph: Graph, tensor: str, paired: dict[str, Pair]) -> str | None:
    """Return the layer whose bias can shift `tensor`, which one node alone reads."""
    made_by = graph.producer(tensor)
    if made_by is None or len(graph.uses(tensor)) != 1 or tensor in graph.outputs:
        return None
    if tensor in paired:
        return None  # its own range would move
    if _adds_constant(graph, made_by):
        return made_by.name
    return _operand_absorber(graph, made_by, paired)


def _operand_absorber(graph: Graph, node: onnx.NodeProto, paired: dict[str, Pair]) -> str | None:
    """Return the layer behind one operand of an Add, whose bias can undo a shift of the other."""
    if node.op_type != "Add" or graph.shape(node.input[0]) != graph.shape(node.input[1]):
        return None
    for name in node.input:
        made_by = graph.producer(name)
        alone = len(graph.uses(name)) == 1 and name not in graph.outputs and name not in paired
        if alone and made_by is not None and _adds_constant(graph, made_by):
            return made_by.name
    return None
