"""Give an exported graph readable names, plain operators and the opset that was asked for."""

from __future__ import annotations

import ast
from collections.abc import Iterable

import numpy as np
import onnx
from onnx import helper, numpy_helper

from toolkit.errors import ModelError
from toolkit.onnx_model.einsum import spell_einsum
from toolkit.onnx_model.opset import lower_to_17

__all__ = ["tidy"]

_SCOPES = "pkg.torch.onnx.name_scopes"


def tidy(model: onnx.ModelProto, *, opset: int) -> onnx.ModelProto:
    """Return the graph PyTorch exported, cleaned; `model` is changed in place.

    Nodes are named after the module they came from ("features.0.0/Conv"), tensors after the node;
    spatial means become GlobalAveragePool, which every runtime knows; source paths and other
    traces of the machine are removed; the opset becomes 17 if asked for, from 18.
    """
    _means_to_pooling(model.graph)
    spell_einsum(model.graph)
    if opset == 17:
        lower_to_17(model)
    _check_inference_only(model.graph)
    _name(model.graph)
    _strip(model)
    onnx.checker.check_model(model)
    return model


def _means_to_pooling(graph: onnx.GraphProto) -> None:
    """Replace ReduceMean over height and width; TensorRT and ONNX Runtime quantize pooling."""
    constants = {tensor.name: tensor for tensor in graph.initializer}
    ranks = {
        value.name: len(value.type.tensor_type.shape.dim)
        for value in [*graph.value_info, *graph.input]
        if value.type.tensor_type.HasField("shape")
    }
    nodes: list[onnx.NodeProto] = []
    for node in graph.node:
        axes = _constant_axes(node, constants)
        keeps = all(a.i for a in node.attribute if a.name == "keepdims")
        if node.op_type != "ReduceMean" or ranks.get(node.input[0]) != 4 or axes != {2, 3}:
            nodes.append(node)
            continue
        pooled = node.output[0] if keeps else f"{node.output[0]}.pooled"
        pooling = helper.make_node("GlobalAveragePool", [node.input[0]], [pooled], name=node.name)
        pooling.metadata_props.extend(node.metadata_props)
        nodes.append(pooling)
        if not keeps:
            flatten = helper.make_node("Flatten", [pooled], [node.output[0]], axis=1)
            flatten.metadata_props.extend(node.metadata_props)
            nodes.append(flatten)
    del graph.node[:]
    graph.node.extend(nodes)


def _constant_axes(node: onnx.NodeProto, constants: dict[str, onnx.TensorProto]) -> set[int]:
    """Return the axes of a reduction of a rank-4 tensor, counted from the front."""
    if len(node.input) < 2 or node.input[1] not in constants:
        return set()
    return {int(axis) % 4 for axis in numpy_helper.to_array(constants[node.input[1]]).ravel()}


def _check_inference_only(graph: onnx.GraphProto) -> None:
    for node in graph.node:
        training = any(a.name == "training_mode" and a.i for a in node.attribute)
        if node.op_type == "Dropout" or training:
            raise ModelError(
                f"The exported graph still has a training operator ({node.op_type}): "
                "it was exported in training mode.",
                next_command="model.eval()   # before exporting it, then import it again",
            )


def _name(graph: onnx.GraphProto) -> None:
    """Name nodes by module and operator, and their outputs likewise; inputs and outputs stay."""
    fixed = {value.name for value in [*graph.input, *graph.output]}
    taken = set(fixed) | {tensor.name for tensor in graph.initializer}
    renamed: dict[str, str] = {}
    for node in graph.node:
        scope = _scope(node)
        node.name = _free(f"{scope}/{node.op_type}" if scope else node.op_type, taken)
        taken.add(node.name)
        for index, output in enumerate(node.output):
            if output and output not in fixed:
                renamed[output] = f"{node.name}:{index}" if index else node.name
    for node in graph.node:
        node.input[:] = [renamed.get(name, name) for name in node.input]
        node.output[:] = [renamed.get(name, name) for name in node.output]
    for value in graph.value_info:
        value.name = renamed.get(value.name, value.name)


def _scope(node: onnx.NodeProto) -> str:
    """Return the path of the PyTorch module a node came from, "" for the network itself."""
    for entry in node.metadata_props:
        if entry.key == _SCOPES:
            scopes = ast.literal_eval(entry.value)  # "['', 'features', 'features.0', 'conv2d']"
            return str(scopes[-2]) if len(scopes) > 1 else ""
    return ""


def _free(name: str, taken: Iterable[str]) -> str:
    number, candidate = 1, name
    while candidate in taken:
        number += 1
        candidate = f"{name}_{number}"
    return candidate


def _strip(model: onnx.ModelProto) -> None:
    """Remove traces of the machine (paths, stack traces) and of the exporter's rewriting."""
    graph = model.graph
    used = {name for node in graph.node for name in node.input}
    kept = [tensor for tensor in graph.initializer if tensor.name in used]
    live = {name for node in graph.node for name in node.output}
    shapes = [value for value in graph.value_info if value.name in live]
    del graph.initializer[:], graph.value_info[:], model.metadata_props[:]
    graph.initializer.extend(kept)
    graph.value_info.extend(shapes)
    for part in (model.graph, *graph.node, *graph.initializer, *graph.value_info, *graph.input):
        del part.metadata_props[:]
        part.doc_string = ""
    del graph.metadata_props[:]
    model.doc_string = ""
    model.ir_version = helper.find_min_ir_version_for(list(model.opset_import))
    for tensor in graph.initializer:
        if tensor.data_type == onnx.TensorProto.FLOAT and not tensor.raw_data:
            tensor.CopyFrom(
                numpy_helper.from_array(np.asarray(numpy_helper.to_array(tensor)), tensor.name)
            )
