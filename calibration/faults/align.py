"""Pairs up the layers of two float graphs of one network, by what they are and where they stand."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass

import numpy as np
import onnx

from calibration.graph import Graph
from calibration.nodes import Array, attribute

__all__ = ["Alignment", "LayerPair", "align", "weight_of"]


@dataclass(frozen=True)
class LayerPair:
    """A Conv, Gemm or MatMul of the reference and the node that stands for it in the other."""

    reference: str
    other: str


@dataclass(frozen=True)
class Alignment:
    """`pairs` in topological order, and the layers of either graph that have no counterpart."""

    pairs: tuple[LayerPair, ...]
    only_reference: tuple[str, ...]
    only_other: tuple[str, ...]

    @property
    def whole(self) -> bool:
        """Return whether every layer has its counterpart."""
        return not self.only_reference and not self.only_other


def align(reference: Graph, other: Graph) -> Alignment:
    """Return which layers of two prepared graphs correspond.

    The longest common subsequence of their layers in topological order, where two layers are
    alike when kind, weight shape, stride, dilation and groups are.
    """
    first, second = _layers(reference), _layers(other)
    kept = _common([_kind(reference, n) for n in first], [_kind(other, n) for n in second])
    pairs = tuple(LayerPair(first[i].name, second[j].name) for i, j in kept)
    matched = {p.reference for p in pairs}, {p.other for p in pairs}
    return Alignment(
        pairs,
        tuple(node.name for node in first if node.name not in matched[0]),
        tuple(node.name for node in second if node.name not in matched[1]),
    )


def weight_of(graph: Graph, node: onnx.NodeProto) -> Array | None:
    """Return the constant weight with one output channel per row; None where it is computed."""
    weight = graph.constant(node.input[1])
    if weight is None or node.op_type == "Conv":
        return weight
    if node.op_type == "Gemm" and attribute(node, "transB", 0):
        return weight
    return np.swapaxes(weight, -1, -2)


def _layers(graph: Graph) -> list[onnx.NodeProto]:
    return [node for node in graph.nodes if node.op_type in ("Conv", "Gemm", "MatMul")]


def _kind(graph: Graph, node: onnx.NodeProto) -> Hashable:
    weight = weight_of(graph, node)
    shape = weight.shape if weight is not None else ("computed",)
    if node.op_type != "Conv":
        return ("product", shape)
    rank = max(len(shape) - 2, 0)
    ones = [1] * rank
    return (
        "Conv",
        shape,
        tuple(attribute(node, "strides", ones)),
        tuple(attribute(node, "dilations", ones)),
        int(attribute(node, "group", 1)),
    )


def _common(first: Sequence[Hashable], second: Sequence[Hashable]) -> list[tuple[int, int]]:
    """Return the index pairs of a longest common subsequence."""
    lengths = np.zeros((len(first) + 1, len(second) + 1), np.int64)
    for i in reversed(range(len(first))):
        for j in reversed(range(len(second))):
            if first[i] == second[j]:
                lengths[i, j] = lengths[i + 1, j + 1] + 1
            else:
                lengths[i, j] = max(lengths[i + 1, j], lengths[i, j + 1])
    found, i, j = [], 0, 0
    while i < len(first) and j < len(second):
        if first[i] == second[j]:
            found.append((i, j))
            i, j = i + 1, j + 1
        elif lengths[i + 1, j] >= lengths[i, j + 1]:
            i += 1
        else:
            j += 1
    return found
