"""Cut the head off an INT8 graph: the nodes that turn the float picture into integers.

What is left takes those integers, as an INT8 layer reads them, so they can be made with the rest
of preprocessing, which `live --policy queue` does in a thread of its own. The head travels in the
metadata of the engine: whoever has a float picture runs it first, and every integer is the one that
the whole graph makes. How long the head takes stands in the notes of every `measure`.
"""

from __future__ import annotations

import base64
from collections.abc import Mapping

import onnx
from onnx import TensorProto, helper

from toolkit.onnx_model.external_data import subgraphs
from toolkit.runtime.onnxruntime import INPUT_HEAD

__all__ = ["cut_input_head"]

_MOVES = ("Pad", "Transpose")
"""What may follow the QuantizeLinear: padding to four channels, and the layout of the kernels."""


def cut_input_head(model: onnx.ModelProto) -> bool:
    """Cut the head of an optimised graph, in place; return whether there was one.

    A graph whose float input is read by anything but one QuantizeLinear stays as it is, and so does
    one with graphs inside, or whose type of integers no zero-point tells.
    """
    graph = model.graph
    weights = {tensor.name: tensor for tensor in graph.initializer}
    inputs = [value for value in graph.input if value.name not in weights]
    if len(inputs) != 1 or len(list(subgraphs(graph))) > 1:
        return False
    head = _chain(graph, inputs[0].name, weights)
    if not head:
        return False
    read = {name for node in head for name in node.input if name in weights}
    codes = head[-1].output[0]
    cut = helper.make_model(
        helper.make_graph(
            head,
            "input",
            inputs,
            [helper.make_tensor_value_info(codes, weights[head[0].input[2]].data_type, None)],
            [weights[name] for name in sorted(read)],
        ),
        opset_imports=model.opset_import,
        ir_version=model.ir_version,
    )
    typed = onnx.shape_inference.infer_shapes(cut).graph.output[0]
    del cut.graph.output[:]
    cut.graph.output.append(typed)
    _remove(graph, head, read)
    del graph.input[:]
    graph.input.append(typed)
    text = base64.b64encode(cut.SerializeToString(deterministic=True)).decode("ascii")
    model.metadata_props.add(key=INPUT_HEAD, value=text)
    return True


def _chain(
    graph: onnx.GraphProto, name: str, weights: Mapping[str, TensorProto]
) -> list[onnx.NodeProto]:
    """Return the QuantizeLinear that alone reads `name`, and what only moves its integers.

    What else they read are `weights`.
    """
    chain: list[onnx.NodeProto] = []
    outputs = {value.name for value in graph.output}
    while name not in outputs:
        readers = [node for node in graph.node if name in node.input]
        wanted = _MOVES if chain else ("QuantizeLinear",)
        if len(readers) != 1 or readers[0].op_type not in wanted:
            break
        (node,) = readers
        constant = all(other in weights for other in node.input[1:])
        if node.input[0] != name or not constant or (not chain and len(node.input) < 3):
            break
        chain.append(node)
        name = node.output[0]
    return chain


def _remove(graph: onnx.GraphProto, head: list[onnx.NodeProto], read: set[str]) -> None:
    """Remove the nodes of `head`, and the constants that nothing else reads."""
    gone = {node.output[0] for node in head}
    nodes = [node for node in graph.node if node.output[0] not in gone]
    still = {name for node in nodes for name in node.input}
    kept = [tensor for tensor in graph.initializer if tensor.name not in read - still]
    known = [value for value in graph.value_info if value.name not in gone]
    del graph.node[:], graph.initializer[:], graph.value_info[:]
    graph.node.extend(nodes)
    graph.initializer.extend(kept)
    graph.value_info.extend(known)
