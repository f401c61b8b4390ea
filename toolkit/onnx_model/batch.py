"""Fix the batch of a graph, for runtimes and boards that want one size."""

from __future__ import annotations

import onnx
from onnx import shape_inference

from toolkit.errors import InputError, ModelError

__all__ = ["fix_batch"]


def fix_batch(model: onnx.ModelProto, batch: int, *, where: str) -> onnx.ModelProto:
    """Return a copy of `model` that takes exactly `batch` pictures; its only input is (N, ...).

    Raises InputError for a batch below 1, ModelError when the graph has another fixed batch.
    """
    if batch < 1:
        raise InputError(
            f"A batch of {batch} pictures cannot be fixed.",
            next_command=f"edgekit import {where} --batch 1 --out model.onnx",
        )
    fixed = onnx.ModelProto()
    fixed.CopyFrom(model)
    weights = {tensor.name for tensor in fixed.graph.initializer}
    entry = next(value for value in fixed.graph.input if value.name not in weights)
    first = entry.type.tensor_type.shape.dim[0]
    if first.dim_value not in (0, batch):
        raise ModelError(
            f"{where} takes exactly {first.dim_value} pictures at a time, not {batch}.",
            next_command=f"edgekit import {where} --batch {first.dim_value} --out model.onnx",
        )
    name = first.dim_param
    for value in [entry, *fixed.graph.output, *fixed.graph.value_info]:
        for axis, size in enumerate(value.type.tensor_type.shape.dim):
            # An output may leave its batch without a name; further axes are never the batch then.
            if size.dim_param == name if name else axis == 0 and not size.HasField("dim_value"):
                size.dim_value = batch
    return shape_inference.infer_shapes(fixed, strict_mode=True)
