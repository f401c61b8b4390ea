"""A float model made ready for calibration, and a read-only view of its graph."""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import onnx
from onnx import TensorProto, inliner, numpy_helper, shape_inference, version_converter

from calibration import layers, rewrites
from calibration.errors import CalibrationError
from calibration.nodes import Array, attribute
from calibration.shape_constants import fix_shape_constants

__all__ = ["MAX_OPSET", "MIN_OPSET", "Graph", "Use", "opset_of", "prepare"]

MIN_OPSET, MAX_OPSET = 10, 23
_LOWEST_WRITTEN, _HIGHEST_WRITTEN = 13, 22
"""QuantizeLinear has an axis from 13 on; that of 23 is unknown to ONNX Runtime 1.23."""
_HALF = {TensorProto.FLOAT16: "float16", TensorProto.BFLOAT16: "bfloat16"}
_QUANTIZED = ("QuantizeLinear", "DequantizeLinear", "DynamicQuantizeLinear", "QLinear", "QGemm")
_EXPORT = "edgekit export model.pt --out model.onnx"


@dataclass(frozen=True)
class Use:
    """Input number `index` of the node named `node`."""

    node: str
    index: int


def opset_of(model: onnx.ModelProto) -> int:
    """Return the version of the standard operator set that the model uses."""
    return next((int(o.version) for o in model.opset_import if o.domain in ("", "ai.onnx")), 1)


def prepare(model: onnx.ModelProto) -> onnx.ModelProto:
    """Return a copy that computes the same function in the one form calibration works on.

    Every node has its own name and every shape is inferred; Constant, Identity, Dropout and
    batch normalization behind a layer are gone; weights have one output channel per row, and
    every Conv and Gemm owns a bias. Raises CalibrationError for a model that is already
    quantized or FP16, uses an opset outside 10 to 23, or is damaged.
    """
    _check_supported(model)
    work = onnx.ModelProto()
    work.CopyFrom(model)
    if work.functions:
        work = inliner.inline_local_functions(work)
    written = min(max(opset_of(work), _LOWEST_WRITTEN), _HIGHEST_WRITTEN)
    if opset_of(work) != written:
        work = _at_opset(work, written)
    try:
        _rewrite(work)
        _infer(work)
        onnx.checker.check_model(work)
    except (ValueError, TypeError, RuntimeError, onnx.checker.ValidationError) as error:
        raise CalibrationError(
            f"This ONNX graph cannot be prepared for calibration: {_first_line(error)}.",
            next_command=_EXPORT,
        ) from error
    _check_finite(work)
    return work


def _rewrite(work: onnx.ModelProto) -> None:
    graph = work.graph
    rewrites.constants_to_initializers(graph)
    rewrites.sort_nodes(graph)
    rewrites.name_nodes(graph)
    rewrites.drop_identities(graph)
    rewrites.fold_constants(work)
    fix_shape_constants(work)
    rewrites.normalise_clips(graph)
    ranks = {name: len(shape) for name, shape in _infer(work).items()}
    layers.normalise_means(graph, ranks)
    layers.normalise_gemms(graph, ranks)
    layers.fold_batch_normalization(graph)
    rewrites.name_nodes(graph)
    layers.own_constants(graph)
    rewrites.remove_dead(graph)


def _first_line(error: Exception) -> str:
    return str(error).strip().split("\n")[0].rstrip(".")


def _check_supported(model: onnx.ModelProto) -> None:
    opset = opset_of(model)
    if not MIN_OPSET <= opset <= MAX_OPSET:
        raise CalibrationError(
            f"The model uses ONNX opset {opset}; calibration reads opset {MIN_OPSET} to "
            f"{MAX_OPSET}.",
            next_command=f"{_EXPORT} --opset 20",
        )
    quantized = [n for n in model.graph.node if n.op_type.startswith(_QUANTIZED)]
    if quantized:
        raise CalibrationError(
            f"The model is quantized already: it holds {len(quantized)} nodes such as "
            f"{quantized[0].op_type}. Calibrate the float model it was made from.",
            next_command="edgekit inspect MODEL.onnx",
        )
    branches = [n.op_type for n in model.graph.node if n.op_type in ("If", "Loop", "Scan")]
    if branches:
        raise CalibrationError(
            f"The model branches at run time (it holds a node of type {branches[0]}); an engine "
            "for a camera needs one fixed graph.",
            next_command=_EXPORT,
        )
    _check_types(model)
    _check_unique(model)


def _check_types(model: onnx.ModelProto) -> None:
    types = [tensor.data_type for tensor in model.graph.initializer]
    types += [value.type.tensor_type.elem_type for value in model.graph.input]
    half = next((_HALF[kind] for kind in types if kind in _HALF), "")
    if half:
        raise CalibrationError(
            f"The model holds {half} tensors; ranges are calibrated on the float32 model.",
            next_command=f"{_EXPORT} --precision fp32",
        )


def _check_unique(model: onnx.ModelProto) -> None:
    made = Counter(name for node in model.graph.node for name in node.output if name)
    made.update(value.name for value in model.graph.input)
    twice = sorted(name for name, count in made.items() if count > 1)
    unnamed = [v for v in (*model.graph.input, *model.graph.output) if not v.name]
    unnamed += [tensor for tensor in model.graph.initializer if not tensor.name]
    if not twice and not unnamed:
        return
    problem = f"tensor {twice[0]!r} is computed twice" if twice else "a tensor has no name"
    raise CalibrationError(f"The ONNX graph is damaged: {problem}.", next_command=_EXPORT)


def _check_finite(model: onnx.ModelProto) -> None:
    for tensor in model.graph.initializer:
        if tensor.data_type != TensorProto.FLOAT:
            continue
        values = numpy_helper.to_array(tensor)
        if not np.isfinite(values).all():
            bad = int(np.size(values) - np.isfinite(values).sum())
            raise CalibrationError(
                f"{bad} of the {values.size} values of {tensor.name!r} are NaN or infinite.",
                next_command=_EXPORT,
            )


def _at_opset(model: onnx.ModelProto, opset: int) -> onnx.ModelProto:
    try:
        converted = version_converter.convert_version(model, opset)
    except (RuntimeError, ValueError) as error:
        raise CalibrationError(
            f"The model uses opset {opset_of(model)}, INT8 needs {_LOWEST_WRITTEN} to "
            f"{_HIGHEST_WRITTEN}, and it cannot be converted ({_first_line(error)}).",
            next_command=f"{_EXPORT} --opset 20",
        ) from error
    del converted.metadata_props[:]
    converted.metadata_props.extend(model.metadata_props)
    return converted


def _infer(model: onnx.ModelProto) -> dict[str, tuple[int | None, ...]]:
    """Infer every shape anew, store them in `model`, and return them."""
    del model.graph.value_info[:]
    inferred = shape_inference.infer_shapes(model, strict_mode=True, data_prop=True)
    model.graph.value_info.extend(inferred.graph.value_info)
    for output, known in zip(model.graph.output, inferred.graph.output, strict=True):
        output.CopyFrom(known)
    return _shapes(model.graph)


def _shapes(graph: onnx.GraphProto) -> dict[str, tuple[int | None, ...]]:
    found: dict[str, tuple[int | None, ...]] = {}
    for value in (*graph.input, *graph.value_info, *graph.output):
        kind = value.type.tensor_type
        if kind.HasField("shape"):
            found[value.name] = tuple(
                d.dim_value if d.HasField("dim_value") else None for d in kind.shape.dim
            )
    for tensor in graph.initializer:
        found[tensor.name] = tuple(tensor.dims)
    return found


class Graph:
    """A read-only view of a prepared model: who makes a tensor, who reads it, what it costs."""

    def __init__(self, model: onnx.ModelProto) -> None:
        graph = model.graph
        self.model = model
        self.nodes: tuple[onnx.NodeProto, ...] = tuple(graph.node)
        self.inputs: tuple[str, ...] = tuple(value.name for value in graph.input)
        self.outputs: tuple[str, ...] = tuple(value.name for value in graph.output)
        self._tensors = {tensor.name: tensor for tensor in graph.initializer}
        self._values: dict[str, Array] = {}
        self._by_name = {node.name: node for node in self.nodes}
        self._producers = {name: node for node in self.nodes for name in node.output if name}
        uses: dict[str, list[Use]] = defaultdict(list)
        for node in self.nodes:
            for index, name in enumerate(node.input):
                uses[name].append(Use(node.name, index))
        self._uses = {name: tuple(found) for name, found in uses.items()}

    def node(self, name: str) -> onnx.NodeProto:
        """Return the node with this name. Raises KeyError."""
        return self._by_name[name]

    def producer(self, tensor: str) -> onnx.NodeProto | None:
        """Return the node that computes `tensor`; None for inputs and constants."""
        return self._producers.get(tensor)

    def uses(self, tensor: str) -> tuple[Use, ...]:
        """Return every node input that reads `tensor`, in order; graph outputs do not count."""
        return self._uses.get(tensor, ())

    def readers(self, tensor: str) -> tuple[onnx.NodeProto, ...]:
        """Return the nodes that read `tensor`, in order."""
        return tuple(self._by_name[use.node] for use in self.uses(tensor))

    def constant(self, name: str) -> Array | None:
        """Return the values of a constant; None for anything computed."""
        if name not in self._values and name in self._tensors:
            self._values[name] = numpy_helper.to_array(self._tensors[name])
        return self._values.get(name)

    def shape(self, tensor: str) -> tuple[int | None, ...] | None:
        """Return the shape with None for each unknown length; None where even the rank is."""
        return self._all_shapes.get(tensor)

    @cached_property
    def _all_shapes(self) -> dict[str, tuple[int | None, ...]]:
        return _shapes(self.model.graph)

    def macs(self, node: onnx.NodeProto) -> int:
        """Return the multiply-accumulates of a Conv, Gemm or MatMul for one image; 0 for others.

        Raises CalibrationError where the output shape is unknown beyond the batch.
        """
        if node.op_type not in ("Conv", "Gemm", "MatMul"):
            return 0
        weight, result = self.shape(node.input[1]), self.shape(node.output[0])
        lengths = [*(weight or (None,)), *(result or (None, None))[1:]]
        if any(length is None for length in lengths) or weight is None or result is None:
            raise CalibrationError(
                f"The output shape of {node.name!r} is not fixed; calibration needs a model with "
                "a fixed image size.",
                next_command=_EXPORT,
            )
        outputs = int(np.prod([length for length in result[1:] if length is not None]))
        columns = node.op_type == "MatMul" or not (
            node.op_type == "Conv" or attribute(node, "transB", 0)
        )
        terms = weight[-2] if columns else int(np.prod([n for n in weight[1:] if n is not None]))
        return outputs * int(terms or 0)

    def is_depthwise(self, node: onnx.NodeProto) -> bool:
        """Return whether a Conv has one input channel per group and more than one group."""
        shape = self.shape(node.input[1]) if node.op_type == "Conv" else None
        return shape is not None and shape[1] == 1 and int(attribute(node, "group", 1)) > 1
