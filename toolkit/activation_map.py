"""The class activation map of the answer as a second output of a graph, next to the logits.

It is (N, height, width) float32 of the winning class, in units of its logit: its mean over the
picture is the logit without the bias. A few operators that TensorRT 8.5 and later, TensorRT-RTX and
ONNX Runtime all run. `read_onnx` takes it off again, so that whatever works on a network sees the
network alone.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from toolkit.cam_layers import CamLayers, ClassWeights, find_cam_layers

__all__ = ["ACTIVATION_MAP", "add_activation_map", "has_activation_map", "without_activation_map"]

ACTIVATION_MAP = "activation_map"
"""The name of the output, and the start of every name that belongs to it."""

_PREFIX = f"{ACTIVATION_MAP}/"


def has_activation_map(model: onnx.ModelProto) -> bool:
    """Return whether the second of two outputs is an activation map."""
    names = [value.name for value in model.graph.output]
    return len(names) == 2 and names[1] == ACTIVATION_MAP


def add_activation_map(model: onnx.ModelProto, *, where: str) -> onnx.ModelProto:
    """Return a copy of `model`, float or with Q/DQ, that also gives its class activation map.

    `where` names it for the error. Raises ModelError for a network that has none.
    """
    layers = find_cam_layers(model, where=where)
    result = onnx.ModelProto()
    result.CopyFrom(model)
    _Branch(result.graph, layers).write()
    return result


def without_activation_map(model: onnx.ModelProto) -> onnx.ModelProto:
    """Return `model` without the output and the operators that `add_activation_map` added."""
    if not has_activation_map(model):
        return model
    result = onnx.ModelProto()
    result.CopyFrom(model)
    graph = result.graph
    del graph.output[1:]
    for parts in (graph.node, graph.initializer, graph.value_info):
        kept = [part for part in parts if not part.name.startswith(_PREFIX)]
        del parts[:]
        parts.extend(kept)
    return result


class _Branch:
    """Writes the operators of the map, and nothing else, into a graph."""

    def __init__(self, graph: onnx.GraphProto, layers: CamLayers) -> None:
        self._graph = graph
        self._layers = layers

    def write(self) -> None:
        logits, layers = self._graph.output[0], self._layers
        if layers.weights is None:
            winner = self._node("ArgMax", "winner", logits.name, axis=1, keepdims=1)
            chosen = self._node("GatherND", "chosen", layers.features, winner, batch_dims=1)
            self._float(chosen, "map", self._type(layers.features), out=ACTIVATION_MAP)
        else:
            winner = self._node("ArgMax", "winner", logits.name, axis=1, keepdims=0)
            features = self._float(layers.features, "features", self._type(layers.features))
            weighted = self._node("Mul", "weighted", features, self._row(layers.weights, winner))
            channels = self._constant("channels", [1])
            self._node("ReduceSum", "sum", weighted, channels, out=ACTIVATION_MAP, keepdims=0)
        batch = logits.type.tensor_type.shape.dim[0]
        size = batch.dim_value or batch.dim_param or None
        shape = [size, layers.height, layers.width]
        made = helper.make_tensor_value_info(ACTIVATION_MAP, TensorProto.FLOAT, shape)
        self._graph.output.append(made)

    def _row(self, weights: ClassWeights, winner: str) -> str:
        """Return the winner's weights, (N, C, 1, 1) in float32."""
        row = self._node("Gather", "row", weights.name, winner, axis=weights.axis)
        if weights.axis:
            row = self._node("Transpose", "row_first", row, perm=[1, 0])
        # Gathered as it is stored: one row is converted and scaled, not a thousand.
        row = self._float(row, "row_float", self._type(weights.name))
        rank = len(self._shape(weights.name))
        if weights.scale:
            kind, scale = self._type(weights.scale), weights.scale
            if self._shape(scale):
                scale = self._node("Gather", "scale", scale, winner, axis=0)
                scale = self._unsqueezed(scale, "scale_column", list(range(1, rank)))
            row = self._node("Mul", "row_scaled", row, self._float(scale, "scale_float", kind))
        return row if rank == 4 else self._unsqueezed(row, "row_column", [2, 3])

    def _type(self, tensor: str) -> int:
        return self._layers.types.get(tensor, TensorProto.FLOAT)

    def _shape(self, tensor: str) -> tuple[int, ...]:
        for entry in self._graph.initializer:
            if entry.name == tensor:
                return tuple(entry.dims)
        node = next(node for node in self._graph.node if tensor in node.output)
        return tuple(next(a.t for a in node.attribute if a.name == "value").dims)  # a Constant

    def _unsqueezed(self, tensor: str, name: str, axes: list[int]) -> str:
        return self._node("Unsqueeze", name, tensor, self._constant(f"{name}_axes", axes))

    def _float(self, tensor: str, name: str, kind: int, *, out: str = "") -> str:
        if kind != TensorProto.FLOAT:
            return self._node("Cast", name, tensor, out=out, to=TensorProto.FLOAT)
        return self._node("Identity", name, tensor, out=out) if out else tensor

    def _constant(self, name: str, values: list[int]) -> str:
        array = np.asarray(values, np.int64)
        self._graph.initializer.append(numpy_helper.from_array(array, _PREFIX + name))
        return _PREFIX + name

    def _node(self, kind: str, name: str, *inputs: str, out: str = "", **attributes: Any) -> str:
        made = _PREFIX + name
        node = helper.make_node(kind, list(inputs), [out or made], name=made, **attributes)
        self._graph.node.append(node)
        return out or made
