"""Placement for ONNX Runtime: whole regions in uint8, a pair on every tensor between their nodes.

ONNX Runtime makes an integer kernel of a node only when each of its activations comes from a
DequantizeLinear and its one result goes to a QuantizeLinear. A node without both runs in float
between two conversions, which costs more than quantizing saves; so a pair stands on outputs too.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

import onnx

from calibration.graph import Graph, Use
from calibration.placement import Groups, Pair, Placement, WeightPair, why_layer_stays_float
from calibration.schemes import Scheme

__all__ = ["place"]

_LAYERS = ("Conv", "Gemm", "MatMul")
_ABSORBED = ("Relu", "Clip")
"""Part of the quantizer behind them: the range they cut is the range that uint8 covers."""
_ARITHMETIC = ("Add", "Mul", "Concat", "AveragePool", "GlobalAveragePool", "Sigmoid", "LeakyRelu")
_SAME_RANGE = (
    "MaxPool",
    "Reshape",
    "Flatten",
    "Transpose",
    "Squeeze",
    "Unsqueeze",
    "Split",
    "Slice",
)
"""They move values: integer in, the same integers out, so both sides share one range."""
_OPEN = (-math.inf, math.inf)
_TO_LOGITS = ("Reshape", "Flatten", "Squeeze", "Softmax", "LogSoftmax")


def place(graph: Graph, scheme: Scheme, keep_float: Mapping[str, str]) -> Placement:
    """Return the placement for an ONNX Runtime scheme."""
    reasons: dict[str, str] = {}
    layers: list[str] = []
    weights = []
    for node in graph.nodes:
        if node.op_type in _LAYERS:
            reason = keep_float.get(node.name) or why_layer_stays_float(graph, node, scheme)
            if reason:
                reasons[node.name] = reason
            else:
                layers.append(node.name)
                weights.append(WeightPair(node.input[1], Use(node.name, 1), axis=0))
    ends = _float_ends(graph, frozenset(layers))
    found = _quantized_tensors(graph, frozenset(layers), ends, keep_float, reasons)
    order = [*graph.inputs, *(name for node in graph.nodes for name in node.output)]
    quantized = [tensor for tensor in order if tensor in found]
    groups = _groups(graph, found)
    representative: dict[str, str] = {}
    pairs = [
        Pair(tensor, graph.uses(tensor), representative.setdefault(groups.root(tensor), tensor))
        for tensor in quantized
    ]
    _explain_tensors(graph, order, found, ends, reasons)
    return Placement(tuple(pairs), tuple(weights), tuple(layers), reasons)


def _quantized_tensors(
    graph: Graph,
    layers: frozenset[str],
    ends: frozenset[str],
    keep_float: Mapping[str, str],
    reasons: dict[str, str],
) -> frozenset[str]:
    """Return the tensors that carry a pair: what integer nodes read and what they make."""
    found = {node.input[0] for node in graph.nodes if node.name in layers}
    cut: set[str] = set()
    for node in graph.nodes:
        if node.name in layers or node.input[0] in cut:
            made = [node.output[0]]
        elif _runs_on_integers(graph, node, found) and node.name not in keep_float:
            made = list(node.output)
            read = node.input[:1] if node.op_type in _SAME_RANGE else node.input
            found.update(read)  # a Reshape also reads a shape, which is no activation
        else:
            continue
        for tensor in made:
            if tensor in ends:
                continue
            if _is_cut(graph, tensor):
                cut.add(tensor)
                reasons[tensor] = f"cut by {graph.readers(tensor)[0].name}: the range of its result"
            else:
                found.add(tensor)
    return frozenset(found)


def _runs_on_integers(graph: Graph, node: onnx.NodeProto, found: set[str]) -> bool:
    """Return whether ONNX Runtime has an integer kernel for a node that is not a layer."""
    if node.op_type in _SAME_RANGE:
        return node.input[0] in found and not _only_to_outputs(graph, node.output[0])
    if node.op_type not in _ARITHMETIC or _only_to_outputs(graph, node.output[0]):
        return False
    computed = all(graph.constant(name) is None for name in node.input)
    return computed and any(name in found for name in node.input)


def _is_cut(graph: Graph, tensor: str) -> bool:
    """Return whether one Relu, or one Clip around zero, is all that reads `tensor`."""
    readers = graph.readers(tensor)
    if len(readers) != 1 or tensor in graph.outputs:
        return False
    if readers[0].op_type not in _ABSORBED:
        return False
    low, high = _clip_bounds(graph, readers[0])
    return math.isfinite(low) and low <= 0.0 < high


def _only_to_outputs(graph: Graph, tensor: str) -> bool:
    """Return whether a tensor becomes the logits without further arithmetic."""
    return all(
        reader.op_type in _TO_LOGITS and _only_to_outputs(graph, reader.output[0])
        for reader in graph.readers(tensor)
    )


def _float_ends(graph: Graph, layers: frozenset[str]) -> frozenset[str]:
    """Return the results that stay float: logits, and what only a softmax reads.

    A Gemm has an integer kernel with a float result. A Conv has none: its logits are quantized.
    """
    found = set()
    for node in graph.nodes:
        result = node.output[0]
        softmax = any(r.op_type in ("Softmax", "LogSoftmax") for r in graph.readers(result))
        if softmax or _only_to_outputs(graph, result):
            if node.name in layers and node.op_type == "Conv" and not softmax:
                continue
            found.add(result)
    return frozenset(found)


def _groups(graph: Graph, found: frozenset[str]) -> Groups:
    """Join what moves values; and into a Concat whatever only the Concat reads, which copies it.

    Not where the Concat reaches further than the Relu or Clip in front of an input: with the
    larger range the quantizer would no longer cut, and its convolution would run in float.
    """
    groups, bounds = Groups(), _bounds(graph)
    for node in graph.nodes:
        if node.op_type in _SAME_RANGE:
            groups.join(name for name in (node.input[0], *node.output) if name in found)
        elif node.op_type == "Concat" and node.output[0] in found:
            own = bounds[node.output[0]]
            same = [name for name in node.input if bounds.get(name, _OPEN) == own]
            groups.join([node.output[0], *(n for n in same if len(graph.uses(n)) == 1)])
    return groups


def _bounds(graph: Graph) -> dict[str, tuple[float, float]]:
    """Return what each tensor cannot exceed, by the activations it came through."""
    found: dict[str, tuple[float, float]] = {}
    for node in graph.nodes:
        before = [found.get(name, _OPEN) for name in node.input]
        low, high = _OPEN
        if node.op_type == "Concat":
            low, high = min(b[0] for b in before), max(b[1] for b in before)
        elif node.op_type in (*_SAME_RANGE, "AveragePool", "GlobalAveragePool"):
            low, high = before[0]
        elif node.op_type in ("Relu", "Clip"):
            low, high = _clip_bounds(graph, node)
        elif node.op_type in ("Sigmoid", "HardSigmoid"):
            low, high = 0.0, 1.0
        found |= dict.fromkeys(node.output, (low, high))
    return found


def _clip_bounds(graph: Graph, node: onnx.NodeProto) -> tuple[float, float]:
    """Return the constant bounds of a Relu or Clip; an open side is infinite."""
    if node.op_type == "Relu":
        return 0.0, math.inf
    names = [*node.input[1:], "", ""][:2]
    bounds = [graph.constant(name) for name in names]
    if any(name and bound is None for name, bound in zip(names, bounds, strict=True)):
        return _OPEN
    low, high = (
        end if bound is None else float(bound) for bound, end in zip(bounds, _OPEN, strict=True)
    )
    return low, high


def _explain_tensors(
    graph: Graph,
    order: list[str],
    found: frozenset[str],
    ends: frozenset[str],
    reasons: dict[str, str],
) -> None:
    for tensor in order:
        if tensor in found or tensor in reasons:
            continue
        if tensor in ends:
            reasons[tensor] = "logits, or what a softmax reads"
        else:
            ops = ", ".join(sorted({node.op_type for node in graph.readers(tensor)}))
            reasons[tensor] = f"made in float and read in float, by {ops}"
