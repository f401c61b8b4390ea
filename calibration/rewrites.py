"""Rewrites that keep the float function: constants, identities, names, order."""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np
import onnx
import onnxruntime
from onnx import helper, numpy_helper

from calibration.nodes import attribute, constants, replace_uses, set_nodes

__all__ = [
    "constants_to_initializers",
    "drop_identities",
    "fold_constants",
    "name_nodes",
    "normalise_clips",
    "remove_dead",
    "sort_nodes",
]

_RANDOM = frozenset(
    {"Bernoulli", "Multinomial"}
    | {f"Random{kind}{like}" for kind in ("Normal", "Uniform") for like in ("", "Like")}
)
_FLOAT_MAX = float(np.finfo(np.float32).max)


def constants_to_initializers(graph: onnx.GraphProto) -> None:
    """Turn Constant nodes into initializers; initializers are no longer listed as inputs."""
    kept = []
    for node in graph.node:
        if node.op_type == "Constant":
            graph.initializer.append(_tensor_of(node))
        else:
            kept.append(node)
    set_nodes(graph, kept)
    held = {tensor.name for tensor in graph.initializer}
    inputs = [value for value in graph.input if value.name not in held]
    del graph.input[:]
    graph.input.extend(inputs)


def _tensor_of(node: onnx.NodeProto) -> onnx.TensorProto:
    kinds: dict[str, Any] = {"value_float": np.float32, "value_floats": np.float32}
    kinds |= {"value_int": np.int64, "value_ints": np.int64}
    for key, dtype in kinds.items():
        value = attribute(node, key)
        if value is not None:
            return numpy_helper.from_array(np.asarray(value, dtype), node.output[0])
    tensor = onnx.TensorProto()
    tensor.CopyFrom(attribute(node, "value"))
    tensor.name = node.output[0]
    return tensor


def fold_constants(model: onnx.ModelProto) -> None:
    """Compute, once and with ONNX Runtime, what depends on constants alone."""
    graph = model.graph
    known = {tensor.name for tensor in graph.initializer} | {""}
    foldable = []
    for node in graph.node:
        if node.op_type not in _RANDOM and all(name in known for name in node.input):
            foldable.append(node)
            known.update(node.output)
    if not foldable:
        return
    names = sorted({name for node in foldable for name in node.output if name})
    for name, values in zip(names, _run_constants(model, foldable, names), strict=True):
        graph.initializer.append(numpy_helper.from_array(np.asarray(values), name))
    folded = {node.name for node in foldable}
    set_nodes(graph, [node for node in graph.node if node.name not in folded])


def _run_constants(
    model: onnx.ModelProto, nodes: list[onnx.NodeProto], names: list[str]
) -> list[Any]:
    read = {name for node in nodes for name in node.input}
    part = helper.make_graph(
        nodes,
        "constants",
        [],
        [helper.make_empty_tensor_value_info(name) for name in names],
        [tensor for tensor in model.graph.initializer if tensor.name in read],
    )
    submodel = helper.make_model(part, opset_imports=model.opset_import)
    submodel.ir_version = model.ir_version
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(
        submodel.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )
    values: list[Any] = session.run(names, {})
    return values


def drop_identities(graph: onnx.GraphProto) -> None:
    """Remove Identity and inference-mode Dropout; names of graph inputs and outputs stay."""
    outputs = {value.name for value in graph.output}
    fixed = outputs | {value.name for value in graph.input}
    kept: list[onnx.NodeProto] = []
    for node in graph.node:
        if node.op_type not in ("Identity", "Dropout"):
            kept.append(node)
            continue
        source, result = node.input[0], node.output[0]
        if result not in outputs:
            replace_uses(graph, result, source)
        elif source in fixed:
            kept.append(node)  # it only gives a graph output its name
        else:
            for other in kept:
                other.output[:] = [result if name == source else name for name in other.output]
            replace_uses(graph, source, result)
    set_nodes(graph, kept)


def normalise_clips(graph: onnx.GraphProto) -> None:
    """Write Clip(0, no upper bound) as Relu."""
    values = constants(graph)
    for node in graph.node:
        if node.op_type != "Clip":
            continue
        low_name, high_name = [*node.input[1:], "", ""][:2]
        low, high = values.get(low_name), values.get(high_name)
        unbounded = not high_name or (high is not None and float(high) >= _FLOAT_MAX)
        if low is not None and float(low) == 0.0 and unbounded:
            node.op_type = "Relu"
            del node.input[1:]


def name_nodes(graph: onnx.GraphProto) -> None:
    """Give every node a name that no other node has; the first of several keeps its own."""
    taken: Counter[str] = Counter()
    for node in graph.node:
        wanted = node.name or f"{node.op_type}_{node.output[0]}"
        name = wanted
        while taken[name]:
            name = f"{wanted}_{taken[wanted]}"
            taken[wanted] += 1
        taken[name] += 1
        node.name = name


def sort_nodes(graph: onnx.GraphProto) -> None:
    """Put the nodes in topological order, keeping the given order where it is one."""
    ready = {tensor.name for tensor in graph.initializer} | {""}
    ready.update(value.name for value in graph.input)
    waiting, ordered = list(graph.node), []
    while waiting:
        blocked = []
        for node in waiting:
            if all(name in ready for name in node.input):
                ordered.append(node)
                ready.update(node.output)
            else:
                blocked.append(node)
        if len(blocked) == len(waiting):
            missing = next(name for name in blocked[0].input if name not in ready)
            raise ValueError(f"nothing computes tensor {missing!r} before it is read")
        waiting = blocked
    set_nodes(graph, ordered)


def remove_dead(graph: onnx.GraphProto) -> None:
    """Remove nodes and initializers that no graph output depends on."""
    needed = {value.name for value in graph.output}
    kept = []
    for node in reversed(graph.node):
        if any(name in needed for name in node.output):
            kept.append(node)
            needed.update(node.input)
    set_nodes(graph, reversed(kept))
    tensors = [tensor for tensor in graph.initializer if tensor.name in needed]
    if len(tensors) < len(graph.initializer):
        copies = [onnx.TensorProto.FromString(tensor.SerializeToString()) for tensor in tensors]
        del graph.initializer[:]
        graph.initializer.extend(copies)
