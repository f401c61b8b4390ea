"""Which layer a kernel computes, told by its name alone; a name that leaves it open gives none.

Runtimes fuse layers with what surrounds them and name the kernel in their own way:

1. TensorRT joins the names of all nodes in it: `conv1.weight + conv1 + relu1`, `a || b`.
2. ONNX Runtime takes the name of one node (`conv1`, `fused conv1`), with `_token_3` where that name
   was taken, or in its blocked layout the tensor that the kernel writes (`relu1_out_nchwc`).
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from calibration.graph import Graph

__all__ = ["layers_of_kernels"]

_LAYERS = ("Conv", "Gemm", "MatMul")
_JOINTS = re.compile(r" (?:\+|\|\|) ")
_COPY = "Reformatting CopyNode"
"""TensorRT names a change of layout after the kernel that reads it, which it is no part of."""
_TAKEN = re.compile(r"_token_\d+$")
_BLOCKED = "_nchwc"
_FUSED = "fused "
_FUSES = frozenset(
    {"Add", "Clip", "HardSigmoid", "HardSwish", "LeakyRelu", "Relu", "Sigmoid", "Tanh"}
)
"""What ONNX Runtime computes in the kernel of the layer before it."""


def layers_of_kernels(names: Sequence[str], graph: Graph, *, backend: str) -> tuple[str, ...]:
    """Return for each kernel of `names` the one Conv, Gemm or MatMul of `graph` in it, or "".

    A kernel that may hold one of several layers holds the one that no other kernel is named after;
    one that holds several, none, or cannot be told gives "".
    """
    if backend.startswith("tensorrt"):
        return tuple(_only(_joined(name, graph)) for name in names)
    possible = [_possible(name, graph) for name in names]
    sure = {layer for layers in possible if len(layers) == 1 for layer in layers}
    left = [layers if len(layers) == 1 else layers - sure for layers in possible]
    return tuple(map(_only, left))


def _only(layers: frozenset[str]) -> str:
    return next(iter(layers)) if len(layers) == 1 else ""


def _joined(name: str, graph: Graph) -> frozenset[str]:
    if name.startswith(_COPY):
        return frozenset()
    layers = {node.name for node in graph.nodes if node.op_type in _LAYERS}
    return frozenset(layers & set(_JOINTS.split(name)))


def _possible(name: str, graph: Graph) -> frozenset[str]:
    """Return the layers that a kernel of ONNX Runtime may hold, going by its name."""
    name = _TAKEN.sub("", name)
    if name.endswith(_BLOCKED):
        return _behind(name.removesuffix(_BLOCKED), graph)
    name = name.removeprefix(_FUSED)
    node = next((node for node in graph.nodes if node.name == name), None)
    return frozenset({name}) if node is not None and node.op_type in _LAYERS else frozenset()


def _behind(tensor: str, graph: Graph) -> frozenset[str]:
    """Return the layers that one kernel writing `tensor` may hold.

    Between the layer and `tensor` lies only what fuses with it, and nothing else reads from there.
    """
    node = graph.producer(tensor)
    if node is None or node.op_type in _LAYERS:
        return frozenset() if node is None else frozenset({node.name})
    if node.op_type not in _FUSES:
        return frozenset()
    alone = [each for each in node.input if len(graph.readers(each)) == 1]
    return frozenset().union(*(_behind(each, graph) for each in alone))
