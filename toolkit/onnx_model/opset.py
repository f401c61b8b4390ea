"""Lower a graph from opset 18 to 17, which TensorRT 8.5 reads.

PyTorch's exporter starts at opset 18 and the ONNX version converter cannot go below it (it does
not see axes kept in initializers), so the operators that changed in 18 are rewritten here.
"""

from __future__ import annotations

import onnx
from onnx import helper, numpy_helper

from toolkit.errors import ModelError

__all__ = ["lower_to_17"]

# What became an input in 18 and is an attribute in 17.
_REDUCTIONS = frozenset(
    {
        "ReduceL1",
        "ReduceL2",
        "ReduceLogSum",
        "ReduceLogSumExp",
        "ReduceMax",
        "ReduceMean",
        "ReduceMin",
        "ReduceProd",
        "ReduceSumSquare",
    }
)
# New in 18, or given something in 18 that 17 cannot say.
_NEW = frozenset(
    {
        "BitwiseAnd",
        "BitwiseNot",
        "BitwiseOr",
        "BitwiseXor",
        "CenterCropPad",
        "Col2Im",
        "GroupNormalization",
        "Mish",
        "OptionalGetElement",
        "OptionalHasElement",
    }
)
_NEW_ATTRIBUTES = {
    "LpPool": ("ceil_mode", "dilations"),
    "Resize": ("antialias", "axes", "keep_aspect_ratio_policy"),
    "ScatterElements": ("reduction",),
    "ScatterND": ("reduction",),
}
_HARMLESS = {b"none", b"stretch", b"add", b"mul"}  # known to 17, or its only behaviour


def lower_to_17(model: onnx.ModelProto) -> None:
    """Rewrite `model`, in place, from opset 18 to 17.

    Raises ModelError naming the operator when 17 has no equal.
    """
    constants = {tensor.name: tensor for tensor in model.graph.initializer}
    for node in model.graph.node:
        if node.op_type in _NEW:
            raise _impossible(node, "the operator is new in opset 18")
        if node.op_type in _REDUCTIONS:
            _axes_to_attribute(node, constants)
        elif node.op_type == "Split":
            _plain_split(node)
        elif node.op_type == "Pad" and len(node.input) > 3 and node.input[3]:
            raise _impossible(node, "it pads named axes")
        elif node.op_type in _NEW_ATTRIBUTES:
            _drop_defaults(node, _NEW_ATTRIBUTES[node.op_type])
    del model.opset_import[:]
    model.opset_import.append(helper.make_opsetid("", 17))


def _axes_to_attribute(node: onnx.NodeProto, constants: dict[str, onnx.TensorProto]) -> None:
    names = list(node.input)
    axes = names[1] if len(names) > 1 else ""
    if axes and axes not in constants:
        raise _impossible(node, "its axes are computed")
    no_op = next((a for a in node.attribute if a.name == "noop_with_empty_axes"), None)
    if no_op is not None:
        if no_op.i and not axes:
            raise _impossible(node, "it reduces nothing")
        node.attribute.remove(no_op)
    del node.input[1:]
    if axes:
        values = [int(axis) for axis in numpy_helper.to_array(constants[axes]).ravel()]
        node.attribute.append(helper.make_attribute("axes", values))


def _plain_split(node: onnx.NodeProto) -> None:
    count = next((a for a in node.attribute if a.name == "num_outputs"), None)
    if count is not None:  # 17 divides by the number of outputs it sees; uneven parts are refused
        node.attribute.remove(count)


def _drop_defaults(node: onnx.NodeProto, names: tuple[str, ...]) -> None:
    for attribute in [a for a in node.attribute if a.name in names]:
        value = helper.get_attribute_value(attribute)
        if node.op_type.startswith("Scatter") and value in _HARMLESS:
            continue
        harmless = value in _HARMLESS or value == 0
        if not harmless:
            raise _impossible(node, f"{attribute.name} is {value}")
        node.attribute.remove(attribute)


def _impossible(node: onnx.NodeProto, reason: str) -> ModelError:
    return ModelError(
        f"This model cannot be written at opset 17: {node.op_type} {node.name!r}, {reason}.",
        next_command="edgekit import SOURCE --opset 18 --out model.onnx   (for TensorRT 8.6+)",
    )
