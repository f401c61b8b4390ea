"""Placement for TensorRT and TensorRT-RTX: a pair on the input of every INT8 layer.

Kernels there fuse convolution, residual Add and activation, and round once at the end; a pair
inside that chain splits the kernel. On a residual Add one operand stays free: the output of the
convolution that runs last, into which the Add fuses. The other operand is read through Q/DQ.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping

from calibration.graph import Graph, Use
from calibration.placement import (
    Groups,
    Pair,
    Placement,
    WeightPair,
    why_layer_stays_float,
)
from calibration.schemes import Scheme

__all__ = ["place", "range_groups", "residual_uses"]

_SAME_RANGE = frozenset(
    {"MaxPool", "Concat", "Reshape", "Flatten", "Transpose", "Squeeze", "Unsqueeze"}
)
"""Their output holds values of their inputs, so the quantizer commutes with them."""


def place(graph: Graph, scheme: Scheme, keep_float: Mapping[str, str]) -> Placement:
    """Return the placement for a TensorRT scheme."""
    reasons: dict[str, str] = {}
    int8: list[str] = []
    uses: dict[str, list[Use]] = defaultdict(list)
    weights = []
    for node in graph.nodes:
        if node.op_type not in ("Conv", "Gemm", "MatMul"):
            continue
        reason = keep_float.get(node.name) or why_layer_stays_float(graph, node, scheme)
        if reason:
            reasons[node.name] = reason
            continue
        int8.append(node.name)
        uses[node.input[0]].append(Use(node.name, 0))
        weights.append(WeightPair(node.input[1], Use(node.name, 1), axis=0))
    for use, tensor in residual_uses(graph, frozenset(int8), keep_float, reasons):
        uses[tensor].append(use)
    groups = range_groups(graph)
    representative: dict[str, str] = {}
    pairs = []
    for tensor in _in_order(graph):
        if tensor in uses:
            group = representative.setdefault(groups.root(tensor), tensor)
            pairs.append(Pair(tensor, tuple(uses[tensor]), group))
    _explain_tensors(graph, frozenset(uses), reasons)
    return Placement(tuple(pairs), tuple(weights), tuple(int8), reasons)


def residual_uses(
    graph: Graph, int8: frozenset[str], keep_float: Mapping[str, str], reasons: dict[str, str]
) -> list[tuple[Use, str]]:
    """Return the use, and its tensor, that each fusible residual Add reads through Q/DQ.

    `int8` names the layers that run in INT8. Why other Adds need no pair goes into `reasons`.
    """
    depth = _depths(graph)
    found = []
    for node in graph.nodes:
        if node.op_type != "Add" or any(graph.constant(name) is not None for name in node.input):
            continue
        if node.name in keep_float:
            reasons[node.name] = keep_float[node.name]
            continue
        free = [name for name in node.input if _fuses_into(graph, name, int8)]
        if not free:
            reasons[node.name] = "no INT8 convolution feeds this Add alone, so it fuses with none"
            continue
        last = max(free, key=lambda name: depth[name])
        index = 1 - list(node.input).index(last)
        if graph.shape(node.input[index]) != graph.shape(last):
            reasons[node.name] = "its operands differ in shape"
            continue
        reasons[last] = f"stays free: its convolution fuses with {node.name}"
        found.append((Use(node.name, index), node.input[index]))
    return found


def _fuses_into(graph: Graph, tensor: str, int8: frozenset[str]) -> bool:
    made_by = graph.producer(tensor)
    alone = len(graph.uses(tensor)) == 1 and tensor not in graph.outputs
    return made_by is not None and made_by.name in int8 and alone


def _depths(graph: Graph) -> dict[str, tuple[int, int]]:
    """Return when a tensor is ready: the layers on its longest path, then the order of the file."""
    depth: dict[str, tuple[int, int]] = {}
    for order, node in enumerate(graph.nodes):
        before = max((depth[name][0] for name in node.input if name in depth), default=0)
        for name in node.output:
            depth[name] = (before + (node.op_type in ("Conv", "Gemm", "MatMul")), order)
    return depth


def range_groups(graph: Graph) -> Groups:
    """Return which tensors share a range: what a MaxPool, Concat or Reshape reads and makes."""
    groups = Groups()
    for node in graph.nodes:
        if node.op_type in _SAME_RANGE:
            count = len(node.input) if node.op_type == "Concat" else 1
            groups.join([node.output[0], *node.input[:count]])
    return groups


def _in_order(graph: Graph) -> list[str]:
    return [*graph.inputs, *(name for node in graph.nodes for name in node.output)]


def _explain_tensors(graph: Graph, paired: frozenset[str], reasons: dict[str, str]) -> None:
    for tensor in _in_order(graph):
        if tensor in paired or tensor in reasons:
            continue
        readers = graph.readers(tensor)
        if not readers:
            reasons[tensor] = "the model's output"
        else:
            ops = ", ".join(sorted({node.op_type for node in readers}))
            reasons[tensor] = f"read in float, by {ops} alone"
