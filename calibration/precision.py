"""The FP16 form of a graph: what stays float, and what overflows on calibration data.

ONNX Runtime's converter does the typing. Around it stand a check of ranges (FP16 ends at 65504),
a check of Q/DQ scales, and the removal of FP16 round trips between two nodes that stay float.
On an x86 CPU ONNX Runtime computes the result in float32 between casts that it also removes: that
an FP16 graph runs well there says nothing about overflow on a GPU.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable

import numpy as np
import onnx
import onnxruntime
from numpy.typing import NDArray
from onnx import TensorProto, helper, shape_inference
from onnxruntime.transformers.float16 import convert_float_to_float16

from calibration.errors import CalibrationError
from calibration.graph import opset_of
from calibration.nodes import Array, attribute, constants, replace_uses
from calibration.rewrites import name_nodes, remove_dead, sort_nodes

__all__ = ["FP16_MAX", "KEEP_FLOAT", "fp16_model", "largest_magnitudes"]

FP16_MAX = 65504.0
_NORMAL = 2.0**-14
"""Below it FP16 loses bits with every halving, down to 6e-8."""
_SCALE_ERROR = 0.01
_SCALE_OPSET = 19
"""QuantizeLinear takes an FP16 scale from here on."""
KEEP_FLOAT: frozenset[str] = frozenset(
    {"Softmax", "LogSoftmax", "Exp", "Log", "Pow", "ReduceSum", "ReduceL2", "ReduceSumSquare"}
    | {"LayerNormalization", "InstanceNormalization", "GroupNormalization"}
)
"""Operators whose inner sums and exponentials leave FP16's range on ordinary data."""


def fp16_model(
    model: onnx.ModelProto,
    *,
    keep: Collection[str] = KEEP_FLOAT,
    batches: Iterable[NDArray[np.float32]] | None = None,
) -> tuple[onnx.ModelProto, tuple[str, ...]]:
    """Return the FP16 form of a float or Q/DQ graph, and notes on what it changed.

    Inputs and outputs stay float32, with a Cast at the border. `keep` holds operator types and
    node names that stay float. Each of `batches` is run through the float model; a node that
    makes or reads a tensor beyond 65504 there stays float and is noted. Raises CalibrationError
    for a Q/DQ graph below opset 19, which has no FP16 scales.
    """
    work = onnx.ModelProto()
    work.CopyFrom(model)
    if any(node.op_type == "QuantizeLinear" for node in work.graph.node):
        _check_scale_opset(work)
    name_nodes(work.graph)
    asked = set(keep)
    kept = {node.name for node in work.graph.node if {node.name, node.op_type} & asked}
    notes = [f"{name} stays float: asked for" for name in sorted(kept)]
    for name, reason in (_too_large(work, batches) | _too_small_scales(work)).items():
        if name not in kept:
            kept.add(name)
            notes.append(f"{name} stays float: {reason}")
    notes.extend(_denormal_notes(work))
    converted = convert_float_to_float16(work, keep_io_types=True, node_block_list=sorted(kept))
    _drop_round_trips(converted.graph)
    sort_nodes(converted.graph)
    remove_dead(converted.graph)
    return converted, tuple(notes)


def largest_magnitudes(
    model: onnx.ModelProto, batches: Iterable[NDArray[np.float32]]
) -> dict[str, float]:
    """Return max |value| of every float input and of what every node makes, over all batches.

    The maxima are taken inside the graph, so memory does not grow with the number of tensors.
    """
    inferred = shape_inference.infer_shapes(model)
    values = (*model.graph.input, *inferred.graph.value_info, *inferred.graph.output)
    tensors = sorted({v.name for v in values if v.type.tensor_type.elem_type == TensorProto.FLOAT})
    probe = onnx.ModelProto()
    probe.CopyFrom(model)
    graph = probe.graph
    del graph.output[:]
    for index, tensor in enumerate(tensors):
        magnitude, largest = f"magnitude_{index}", f"largest_{index}"
        graph.node.append(helper.make_node("Abs", [tensor], [magnitude]))
        graph.node.append(helper.make_node("ReduceMax", [magnitude], [largest], keepdims=0))
        graph.output.append(helper.make_tensor_value_info(largest, TensorProto.FLOAT, []))
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    # Fused integer kernels would saturate where the float graph overflows.
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_BASIC
    session = onnxruntime.InferenceSession(
        probe.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )
    found = np.zeros(len(tensors))
    for batch in batches:
        found = np.maximum(found, session.run(None, {model.graph.input[0].name: batch}))
    return dict(zip(tensors, found.tolist(), strict=True))


def _check_scale_opset(model: onnx.ModelProto) -> None:
    if opset_of(model) < _SCALE_OPSET:
        raise CalibrationError(
            f"The Q/DQ graph uses opset {opset_of(model)}; FP16 scales need opset {_SCALE_OPSET}.",
            next_command="edgekit export model.pt --out model.onnx --opset 20",
        )


def _too_large(
    model: onnx.ModelProto, batches: Iterable[NDArray[np.float32]] | None
) -> dict[str, str]:
    """Return the nodes that touch a value FP16 cannot hold, with the value."""
    peaks = {name: _peak(values) for name, values in _float_constants(model.graph).items()}
    if batches is not None:
        peaks |= largest_magnitudes(model, batches)
    over = {name: peak for name, peak in peaks.items() if not peak <= FP16_MAX}
    found: dict[str, str] = {}
    for node in model.graph.node:
        for name in (*node.input, *node.output):
            if name in over:
                found[node.name] = f"{name} reaches {over[name]:.4g}, FP16 ends at {FP16_MAX:.0f}"
    return found


def _too_small_scales(model: onnx.ModelProto) -> dict[str, str]:
    """Return the Q and DQ nodes whose scale FP16 would change by more than 1 %."""
    values = constants(model.graph)
    found: dict[str, str] = {}
    for node in model.graph.node:
        if node.op_type in ("QuantizeLinear", "DequantizeLinear"):
            scale = values[node.input[1]]
            error = np.abs(scale.astype(np.float16).astype(np.float32) - scale) / scale
            if error.max() > _SCALE_ERROR:
                found[node.name] = f"its scale {scale.min():.3g} is too small for FP16"
    return found


def _denormal_notes(model: onnx.ModelProto) -> list[str]:
    counted = {
        name: int(((values != 0) & (np.abs(values) < _NORMAL)).sum())
        for name, values in _float_constants(model.graph).items()
    }
    total = sum(counted.values())
    if not total:
        return []
    worst = max(counted, key=lambda name: counted[name])
    return [
        f"{total} constants are below {_NORMAL:.1e}, where FP16 is denormal and loses bits; "
        f"{counted[worst]} of them in {worst}"
    ]


def _float_constants(graph: onnx.GraphProto) -> dict[str, Array]:
    return {name: v for name, v in constants(graph).items() if v.dtype == np.float32}


def _peak(values: Array) -> float:
    return float(np.abs(values).max(initial=0.0))


def _drop_round_trips(graph: onnx.GraphProto) -> None:
    """Let two neighbours that both stay float pass float: FP16 between them would overflow."""
    made = {name: node for node in graph.node for name in node.output}
    for node in graph.node:
        if node.op_type != "Cast" or attribute(node, "to") != TensorProto.FLOAT:
            continue
        before = made.get(node.input[0])
        down = before is not None and before.op_type == "Cast"
        if before is not None and down and attribute(before, "to") == TensorProto.FLOAT16:
            if node.output[0] in {value.name for value in graph.output}:
                node.op_type = "Identity"
                del node.attribute[:]
                node.input[0] = before.input[0]
            else:
                replace_uses(graph, node.output[0], before.input[0])
