"""The graph under examination: calibration's view of it, types, and where integers are read."""

from __future__ import annotations

from functools import cached_property
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, checker, inliner, shape_inference

from calibration.graph import Graph, opset_of
from calibration.nodes import Array, attribute
from calibration.rewrites import constants_to_initializers, name_nodes
from toolkit.activation_map import without_activation_map
from toolkit.errors import ModelError
from toolkit.lint.integers import Integers, constant_tensors, follow_integers
from toolkit.onnx_model.external_data import load_external_data
from toolkit.onnx_model.file import MAX_BYTES, how_to_make_again, parse_onnx

__all__ = ["LAYERS", "Operands", "Subject", "read_subject", "subject_of"]

_DAMAGE = (
    *(checker.ValidationError, shape_inference.InferenceError, RuntimeError),
    *(ValueError, TypeError, IndexError, KeyError),
)
"""What ONNX's own functions raise for a graph that does not hold together."""
_SCALE_TYPES = ("", "float", "float16", "bfloat16", "double", "float8e8m0")
LAYERS = ("Conv", "ConvTranspose", "Gemm", "MatMul")


class Operands:
    """The activation and the weight of a layer, as tensor names and as the integers behind."""

    def __init__(self, subject: Subject, node: onnx.NodeProto) -> None:
        first, second = node.input[0], node.input[1]
        constant = subject.constants
        swapped = node.op_type in ("Gemm", "MatMul") and first in constant
        self.weight_index = 0 if swapped and second not in constant else 1
        self.activation_index = 1 - self.weight_index
        self.weight = node.input[self.weight_index]
        self.activation = node.input[self.activation_index]
        self.activation_integers = subject.integers_read_by(node, self.activation)
        self.weight_integers = subject.integers.get(self.weight)


class Subject:
    """One model, named and typed, with everything the rules ask of it more than once."""

    def __init__(self, model: onnx.ModelProto) -> None:
        self.graph = Graph(model)
        self.opset = opset_of(model)
        self.constants = constant_tensors(self.graph)
        self.integers = follow_integers(self.graph, self.constants)

    @cached_property
    def layers(self) -> tuple[onnx.NodeProto, ...]:
        """Every Conv, ConvTranspose, Gemm and MatMul, in order."""
        return tuple(node for node in self.graph.nodes if node.op_type in LAYERS)

    @cached_property
    def quantizers(self) -> tuple[onnx.NodeProto, ...]:
        """Every QuantizeLinear and DequantizeLinear, in order."""
        kinds = ("QuantizeLinear", "DequantizeLinear")
        return tuple(node for node in self.graph.nodes if node.op_type in kinds)

    @cached_property
    def operands(self) -> dict[str, Operands]:
        """What each layer multiplies, by its name."""
        return {node.name: Operands(self, node) for node in self.layers}

    @cached_property
    def types(self) -> dict[str, int]:
        """The element type of each tensor, where it is known."""
        graph = self.graph.model.graph
        found = {tensor.name: int(tensor.data_type) for tensor in graph.initializer}
        for value in (*graph.input, *graph.value_info, *graph.output):
            if value.type.tensor_type.elem_type:
                found[value.name] = int(value.type.tensor_type.elem_type)
        for node in self.quantizers:  # float32 by ONNX before opset 19; runtimes go by the scale
            if node.op_type == "DequantizeLinear" and node.input[1] in found:
                found[node.output[0]] = found[node.input[1]]
        return found

    def type_name(self, tensor: str) -> str:
        """Return the element type as ONNX writes it in lower case, "" where it is unknown."""
        kind = self.types.get(tensor, TensorProto.UNDEFINED)
        known = kind and kind in TensorProto.DataType.values()
        return TensorProto.DataType.Name(kind).lower() if known else ""

    def scale(self, node: onnx.NodeProto) -> Array | None:
        """Return the scales of a Q or DQ; None where they are computed."""
        return self.graph.constant(node.input[1])

    def zero_point(self, node: onnx.NodeProto) -> Array | None:
        """Return the zero-points of a Q or DQ; None where it has none or they are computed."""
        if len(node.input) < 3 or not node.input[2]:
            return None
        return self.graph.constant(node.input[2])

    def integer_type(self, node: onnx.NodeProto) -> str:
        """Return the type of the integers of a Q or DQ, such as "int8"; "" where it is unknown.

        A QuantizeLinear without zero-point gives uint8 (ONNX), unless it names its output type.
        """
        if len(node.input) > 2 and node.input[2]:
            return self.type_name(node.input[2])
        if node.op_type == "DequantizeLinear":
            return self.type_name(node.input[0])
        kind = int(attribute(node, "output_dtype", 0))
        known = kind and kind in TensorProto.DataType.values()
        return TensorProto.DataType.Name(kind).lower() if known else "uint8"

    def is_initializer(self, tensor: str) -> bool:
        """Return whether `tensor` is stored in the file."""
        return self.graph.constant(tensor) is not None

    def is_output(self, tensor: str) -> bool:
        """Return whether the graph gives `tensor` out."""
        return tensor in self._outputs

    @cached_property
    def _outputs(self) -> frozenset[str]:
        return frozenset(self.graph.outputs)

    def integers_read_by(self, layer: onnx.NodeProto, tensor: str) -> Integers | None:
        """Return the integers that `layer` could read in place of the activation `tensor`.

        A Pad with zeros in front of a convolution is one of them, where nothing else reads it: it
        becomes the convolution's own padding.
        """
        found = self.integers.get(tensor)
        pad = self.graph.producer(tensor)
        if found is not None or pad is None or pad.op_type != "Pad" or layer.op_type != "Conv":
            return found
        alone = len(self.graph.uses(tensor)) == 1 and not self.is_output(tensor)
        return self.integers.get(pad.input[0]) if alone and self._pads_with_zeros(pad) else None

    def _pads_with_zeros(self, pad: onnx.NodeProto) -> bool:
        pads = self.graph.constant(pad.input[1]) if len(pad.input) > 1 else None
        fill = self.graph.constant(pad.input[2]) if len(pad.input) > 2 and pad.input[2] else None
        if len(pad.input) > 2 and pad.input[2] and fill is None:
            return False
        if (
            pads is None
            or pads.size % 2
            or (fill is not None and bool(np.any(fill)))
            or len(pad.input) > 3
        ):
            return False
        ends = pads.reshape(2, -1)
        return not ends[:, :2].any()  # batch and channels stay as they are


def read_subject(path: Path) -> Subject:
    """Return the model in `path` ready for examination; any operators, any inputs and outputs.

    Raises ModelError when the file is missing, empty, truncated, not ONNX, over 2 GiB, or when its
    graph is damaged.
    """
    model = parse_onnx(path)
    load_external_data(model, path, limit=MAX_BYTES)
    return subject_of(model, where=path)


def subject_of(model: onnx.ModelProto, *, where: Path) -> Subject:
    """Return `model` ready for examination; the model itself stays as it is.

    A class activation map is left out: it is meant to stay in float. `where` names the model for
    the error. Raises ModelError when the graph is damaged.
    """
    work = onnx.ModelProto()
    work.CopyFrom(without_activation_map(model))
    try:
        _check(work)
        if work.functions:
            work = inliner.inline_local_functions(work)
        constants_to_initializers(work.graph)
        name_nodes(work.graph)
        subject = Subject(_with_types(work))
        _check_values(subject)
        return subject
    except _DAMAGE as error:
        lines = [line.strip() for line in str(error).splitlines() if line.strip()]
        reason = lines[0].rstrip(".") if lines else type(error).__name__
        raise ModelError(
            f"{where} is not valid ONNX: {reason}.",
            next_command=how_to_make_again(where),
        ) from error


def _check(model: onnx.ModelProto) -> None:
    """Raise what ONNX's checker raises, except that outputs need no shape: many files lack it."""
    bare = [v.type.tensor_type for v in model.graph.output if v.type.HasField("tensor_type")]
    bare = [kind for kind in bare if not kind.HasField("shape")]
    for kind in bare:
        kind.shape.SetInParent()
    checker.check_model(model)
    for kind in bare:
        kind.ClearField("shape")


def _check_values(subject: Subject) -> None:
    """Raise ValueError for what the checker lets through: values too short, scales of text."""
    for tensor in subject.graph.model.graph.initializer:
        subject.graph.constant(tensor.name)  # raises where bytes and shape do not fit
    for node in subject.quantizers:
        kinds = [subject.type_name(name) for name in node.input[1:3] if name]
        if kinds[0] not in _SCALE_TYPES or "string" in kinds:
            raise ValueError(f"node {node.name!r} has a scale of type {kinds[0]}")
    for layer in subject.layers:
        shape = subject.graph.shape(layer.input[1])
        if layer.op_type.startswith("Conv") and shape is not None and len(shape) < 3:
            raise ValueError(f"the weight of {layer.name!r} has {len(shape)} dimensions")


def _with_types(model: onnx.ModelProto) -> onnx.ModelProto:
    """Return the model with the shapes and types that can be inferred."""
    try:
        return shape_inference.infer_shapes(model, data_prop=True)
    except (shape_inference.InferenceError, ValueError, RuntimeError):
        return model  # a foreign operator has no rule; what the file says itself must do
