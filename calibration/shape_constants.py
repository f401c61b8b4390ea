"""Constants in place of what a graph computes from its own shapes.

Old exporters write the channel shuffle or the flatten before a classifier as Shape, Gather and
Concat. Shape inference and integer kernels both stop there, though only the batch is open.
"""

from __future__ import annotations

import numpy as np
import onnx
import onnxruntime
from onnx import helper

from calibration.nodes import Array, add_constant

__all__ = ["fix_shape_constants"]

_BATCHES = (2, 3)


def fix_shape_constants(model: onnx.ModelProto) -> None:
    """Replace, in place, integers computed from shapes that do not depend on the batch.

    The model is run on two batch sizes; what is equal in both becomes constant, and the one
    length of a Reshape that differs becomes -1. Left alone when the image size is open.
    """
    wanted = _read_elsewhere(model.graph)
    shapes = _input_shapes(model)
    if not wanted or not shapes:
        return
    small, large = (_measured(model, wanted, shape) for shape in shapes)
    for name, before, after in zip(wanted, small, large, strict=True):
        if np.array_equal(before, after):
            _replace(model.graph, name, before, reshape=False)
        elif np.shape(before) == np.shape(after):
            target = np.where(before == after, before, -1)
            if np.count_nonzero(target == -1) == 1:
                _replace(model.graph, name, target, reshape=True)


def _read_elsewhere(graph: onnx.GraphProto) -> list[str]:
    """Return the tensors that depend on shapes and constants alone and that other nodes read."""
    known = {tensor.name for tensor in graph.initializer} | {""}
    derived: set[str] = set()
    others = []
    for node in graph.node:
        if node.op_type in ("Shape", "Size") or all(n in known | derived for n in node.input):
            derived.update(node.output)
        else:
            others.append(node)
    return sorted({name for node in others for name in node.input if name in derived})


def _replace(graph: onnx.GraphProto, name: str, values: Array, *, reshape: bool) -> None:
    constant = add_constant(graph, f"{name}_fixed", values)
    for node in graph.node:
        for index, source in enumerate(node.input):
            fits = not reshape or (node.op_type == "Reshape" and index == 1)
            if source == name and fits:
                node.input[index] = constant


def _input_shapes(model: onnx.ModelProto) -> list[tuple[int, ...]]:
    """Return the shapes of two batches, equal ones where the batch is fixed; [] if unknown."""
    if len(model.graph.input) != 1:
        return []
    dims = model.graph.input[0].type.tensor_type.shape.dim
    lengths = [int(d.dim_value) for d in dims]
    if not all(lengths[1:]):
        return []
    return [(lengths[0] or batch, *lengths[1:]) for batch in _BATCHES] if lengths else []


def _measured(model: onnx.ModelProto, tensors: list[str], shape: tuple[int, ...]) -> list[Array]:
    probe = onnx.ModelProto()
    probe.CopyFrom(model)
    del probe.graph.output[:]
    probe.graph.output.extend(helper.make_empty_tensor_value_info(name) for name in tensors)
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(
        probe.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )
    batch = np.zeros(shape, np.float32)
    values: list[Array] = session.run(None, {model.graph.input[0].name: batch})
    return values
