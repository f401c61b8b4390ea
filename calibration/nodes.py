"""Reading and editing an ONNX graph in place: attributes, constants, readers."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import helper, numpy_helper

__all__ = [
    "Array",
    "add_constant",
    "attribute",
    "constants",
    "drop_attributes",
    "readers",
    "replace_uses",
    "set_constant",
    "set_nodes",
    "unused_name",
]

Array = NDArray[Any]


def attribute(node: onnx.NodeProto, name: str, default: Any = None) -> Any:
    """Return the value of one attribute, or `default` where the node does not carry it."""
    for entry in node.attribute:
        if entry.name == name:
            return helper.get_attribute_value(entry)
    return default


def drop_attributes(node: onnx.NodeProto, *names: str) -> None:
    """Remove the attributes with these names, where the node carries them."""
    kept = [entry for entry in node.attribute if entry.name not in names]
    del node.attribute[:]
    node.attribute.extend(kept)


def constants(graph: onnx.GraphProto) -> dict[str, Array]:
    """Return the values of the initializers by name."""
    return {tensor.name: numpy_helper.to_array(tensor) for tensor in graph.initializer}


def readers(graph: onnx.GraphProto) -> dict[str, list[onnx.NodeProto]]:
    """Return the nodes that read each tensor; a node that reads it twice is listed twice."""
    found: dict[str, list[onnx.NodeProto]] = defaultdict(list)
    for node in graph.node:
        for name in node.input:
            found[name].append(node)
    return found


def replace_uses(graph: onnx.GraphProto, old: str, new: str) -> None:
    """Let every node that reads `old` read `new`."""
    for node in graph.node:
        for index, name in enumerate(node.input):
            if name == old:
                node.input[index] = new


def set_nodes(graph: onnx.GraphProto, nodes: Iterable[onnx.NodeProto]) -> None:
    """Replace the node list."""
    copies = []
    for node in nodes:
        copy = onnx.NodeProto()
        copy.CopyFrom(node)
        copies.append(copy)
    del graph.node[:]
    graph.node.extend(copies)


def unused_name(graph: onnx.GraphProto, wanted: str) -> str:
    """Return `wanted`, with a number behind it where a tensor already has that name."""
    taken = {tensor.name for tensor in graph.initializer}
    taken.update(value.name for value in graph.input)
    taken.update(name for node in graph.node for name in node.output)
    name, count = wanted, 0
    while name in taken:
        count += 1
        name = f"{wanted}_{count}"
    return name


def add_constant(graph: onnx.GraphProto, wanted: str, values: Array) -> str:
    """Add an initializer and return its name: `wanted`, or an unused variant of it."""
    name = unused_name(graph, wanted)
    graph.initializer.append(numpy_helper.from_array(np.asarray(values, order="C"), name))
    return name


def set_constant(model: onnx.ModelProto, name: str, values: Array) -> None:
    """Replace the values of the initializer `name`. Raises KeyError when there is none."""
    for tensor in model.graph.initializer:
        if tensor.name == name:
            tensor.CopyFrom(numpy_helper.from_array(np.asarray(values, order="C"), name))
            return
    raise KeyError(name)
