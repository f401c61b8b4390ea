"""Which tensors get Q/DQ, and why the others stay float."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from importlib import import_module
from types import MappingProxyType

import onnx

from calibration.errors import CalibrationError
from calibration.graph import Graph, Use, opset_of
from calibration.schemes import Scheme

__all__ = [
    "Groups",
    "Pair",
    "Placement",
    "WeightPair",
    "float_layers",
    "int8_mac_share",
    "place",
    "why_layer_stays_float",
]

_NONE: Mapping[str, str] = MappingProxyType({})


@dataclass(frozen=True)
class Pair:
    """One Q/DQ pair on an activation; `uses` read through it, all other uses stay float.

    Pairs with the same `group` share one range (inputs of a Concat, both sides of a MaxPool).
    """

    tensor: str
    uses: tuple[Use, ...]
    group: str


@dataclass(frozen=True)
class WeightPair:
    """A weight quantized along `axis` (None: one scale for the whole tensor)."""

    initializer: str
    use: Use
    axis: int | None


@dataclass(frozen=True)
class Placement:
    """The plan that insertion carries out.

    `int8_nodes` are the nodes that must run in INT8; `float_reasons` says for every other
    Conv, Gemm and MatMul, and for every tensor considered, why it stays float.
    """

    pairs: tuple[Pair, ...]
    weights: tuple[WeightPair, ...]
    int8_nodes: tuple[str, ...]
    float_reasons: dict[str, str]


def place(
    model: onnx.ModelProto, scheme: Scheme, *, keep_float: Mapping[str, str] = _NONE
) -> Placement:
    """Return where `scheme` puts Q/DQ in a prepared model.

    `keep_float` names nodes that must stay float, each with its reason. Raises CalibrationError
    when a name is unknown, the opset is too new for the runtime, or nothing can be quantized.
    """
    graph = Graph(model)
    unknown = sorted(set(keep_float) - {node.name for node in graph.nodes})
    if unknown:
        raise CalibrationError(
            f"{unknown[0]!r} is to stay float, but no node has that name.",
            next_command="edgekit inspect MODEL.onnx",
        )
    if opset_of(model) > scheme.max_opset:
        raise CalibrationError(
            f"The model uses opset {opset_of(model)}; {scheme.runtime} reads at most opset "
            f"{scheme.max_opset}.",
            next_command=f"edgekit export model.pt --out model.onnx --opset {scheme.max_opset}",
        )
    module, _, function = scheme.placer.partition(":")
    placement: Placement = getattr(import_module(module), function)(graph, scheme, keep_float)
    if not placement.int8_nodes:
        why = next(iter(placement.float_reasons.values()), "it has no Conv or Gemm")
        raise CalibrationError(
            f"Nothing in this model can run in INT8: {why}.",
            next_command="edgekit build MODEL.onnx --target NAME",
        )
    return placement


def why_layer_stays_float(graph: Graph, node: onnx.NodeProto, scheme: Scheme) -> str:
    """Return why a Conv, Gemm or MatMul stays float under `scheme`; "" when it is quantized."""
    weight = graph.constant(node.input[1])
    if weight is None:
        return "both operands are computed; only constant weights are quantized"
    if node.op_type == "MatMul":
        return "its weight would be quantized by columns, which runs in float"
    if graph.constant(node.input[0]) is not None:
        return "its input is a constant"
    if scheme.depthwise == "float" and graph.is_depthwise(node):
        return f"depthwise: {scheme.runtime} widens it with zeros in INT8"
    if scheme.vector_products == "float" and _is_vector_product(graph, node):
        return "a vector product: it reads each weight once and gains nothing from INT8"
    return ""


def _is_vector_product(graph: Graph, node: onnx.NodeProto) -> bool:
    shape = graph.shape(node.input[0])
    return node.op_type == "Gemm" or (shape is not None and all(n == 1 for n in shape[2:]))


class Groups:
    """Tensors that must share one range, joined step by step."""

    def __init__(self) -> None:
        self._parent: dict[str, str] = {}

    def join(self, tensors: Iterable[str]) -> None:
        """Let all of `tensors` share one range."""
        roots = [self.root(tensor) for tensor in tensors]
        for root in roots[1:]:
            self._parent[root] = roots[0]
            roots = [self.root(root) for root in roots]

    def root(self, tensor: str) -> str:
        """Return the tensor that stands for all that share its range."""
        while tensor in self._parent and self._parent[tensor] != tensor:
            tensor = self._parent[tensor]
        return tensor


def float_layers(graph: Graph, placement: Placement) -> tuple[str, ...]:
    """Return the Conv, Gemm and MatMul nodes that stay float; `float_reasons` also has tensors."""
    quantized = set(placement.int8_nodes)
    layers = (node.name for node in graph.nodes if node.op_type in ("Conv", "Gemm", "MatMul"))
    return tuple(name for name in layers if name not in quantized)


def int8_mac_share(graph: Graph, placement: Placement, *, depthwise: bool = False) -> float:
    """Return the share of convolution MACs in INT8, without depthwise ones unless asked for."""
    convolutions = [
        node
        for node in graph.nodes
        if node.op_type == "Conv" and (depthwise or not graph.is_depthwise(node))
    ]
    total = sum(graph.macs(node) for node in convolutions)
    quantized = set(placement.int8_nodes)
    return sum(graph.macs(n) for n in convolutions if n.name in quantized) / max(total, 1)
