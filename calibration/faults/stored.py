"""The pairs of a Q/DQ file as they are stored, and the float graphs its faults are measured on."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import onnx

from calibration.errors import CalibrationError
from calibration.nodes import Array, attribute, constants, set_constant
from calibration.rewrites import constants_to_initializers, name_nodes
from calibration.rounding import Grid
from calibration.table import Range

__all__ = [
    "StoredPair",
    "WeightAxis",
    "named",
    "read_through",
    "stored_pairs",
    "weight_axis",
    "with_rounded_weights",
]

_LAYERS = ("Conv", "Gemm", "MatMul")


@dataclass(frozen=True)
class StoredPair:
    """The quantizer of one computed tensor: its grid and the range this covers."""

    tensor: str
    grid: Grid

    @property
    def symmetric(self) -> bool:
        """Return whether it is int8 with zero-point 0, where only the magnitude counts."""
        return self.grid.dtype is np.int8 and self.grid.zero_point == 0

    @property
    def span(self) -> Range:
        """Return the range that the integers cover; symmetric pairs have amax at 127."""
        info, scale = np.iinfo(self.grid.dtype), float(self.grid.scale)
        low, high = ((end - self.grid.zero_point) * scale for end in (info.min, info.max))
        return Range(-high if self.symmetric else low, high, "file")


@dataclass(frozen=True)
class WeightAxis:
    """Along which axis a stored weight has its scales (None: one scale), and which one it should.

    TensorRT runs a layer in float whose weight has its scales along another axis than its output
    channels, and says nothing.
    """

    axis: int | None
    wanted: int

    @property
    def wrong(self) -> bool:
        """Return whether the scales lie along another axis than the output channels."""
        return self.axis is not None and self.axis != self.wanted


def named(model: onnx.ModelProto) -> onnx.ModelProto:
    """Return a copy whose nodes all have names and whose constants are all initializers."""
    work = onnx.ModelProto()
    work.CopyFrom(model)
    constants_to_initializers(work.graph)
    name_nodes(work.graph)
    return work


def stored_pairs(model: onnx.ModelProto) -> dict[str, StoredPair]:
    """Return the pair of each computed tensor of a `named` model.

    Raises CalibrationError where the model holds none, or a scale is not one constant.
    """
    values = constants(model.graph)
    found: dict[str, StoredPair] = {}
    for node in model.graph.node:
        if node.op_type == "QuantizeLinear" and node.input[0] not in values:
            found.setdefault(node.input[0], StoredPair(node.input[0], _grid(node, values)))
    if not found:
        raise CalibrationError(
            "The model holds no QuantizeLinear of a computed tensor: it is not an INT8 model.",
            next_command="edgekit calibrate MODEL.onnx --images DIR",
        )
    return found


def read_through(model: onnx.ModelProto) -> dict[str, str]:
    """Return the tensor whose pair each Conv, Gemm and MatMul of a `named` model reads through."""
    made_by = {name: node for node in model.graph.node for name in node.output}
    found = {}
    for node in model.graph.node:
        source = made_by.get(node.input[0]) if node.op_type in _LAYERS else None
        while source is not None and source.op_type in ("DequantizeLinear", "Pad"):
            source = made_by.get(source.input[0])
        if source is not None and source.op_type == "QuantizeLinear":
            found[node.name] = source.input[0]
    return found


def weight_axis(model: onnx.ModelProto, layer: str) -> WeightAxis | None:
    """Return how the weight of `layer` in a `named` model is scaled; None for a float weight."""
    made_by = {name: node for node in model.graph.node for name in node.output}
    node = next(node for node in model.graph.node if node.name == layer)
    dequantize = made_by.get(node.input[1])
    if dequantize is None or dequantize.op_type != "DequantizeLinear":
        return None
    values = constants(model.graph)
    rank = 4 if node.op_type == "Conv" else 2
    rows = node.op_type == "Conv" or bool(attribute(node, "transB", 0))
    scale = values.get(dequantize.input[1])
    per_axis = scale is not None and scale.ndim == 1
    axis = int(attribute(dequantize, "axis", 1)) % rank if per_axis else None
    if axis is not None and scale is not None and scale.size == 1 and not _has_axis(dequantize):
        axis = None  # some exporters store the one scale of a tensor as a vector of one
    return WeightAxis(axis, 0 if rows else rank - 1)


def _has_axis(node: onnx.NodeProto) -> bool:
    return any(entry.name == "axis" for entry in node.attribute)


def with_rounded_weights(model: onnx.ModelProto) -> onnx.ModelProto:
    """Return a `named` model whose float weights behind Q and DQ hold the rounded values.

    The Q/DQ form of TensorRT 8 stores weights in float; what the engine multiplies with is what
    their QuantizeLinear leaves of them.
    """
    work = onnx.ModelProto()
    work.CopyFrom(model)
    values = constants(work.graph)
    for node in work.graph.node:
        if node.op_type == "QuantizeLinear" and node.input[0] in values:
            weight, scale = values[node.input[0]], values[node.input[1]]
            zero = values[node.input[2]] if len(node.input) > 2 else np.zeros((), np.uint8)
            axis = int(attribute(node, "axis", 1)) % max(weight.ndim, 1)
            shape = [-1 if i == axis else 1 for i in range(weight.ndim)]
            if scale.size > 1:
                zero = np.broadcast_to(zero, scale.shape).reshape(shape)
                scale = scale.reshape(shape)
            info, offset = np.iinfo(zero.dtype), zero.astype(np.float64)
            steps = np.clip(np.rint(weight / scale) + offset, info.min, info.max)
            set_constant(work, node.input[0], ((steps - offset) * scale).astype(np.float32))
    return work


def _grid(node: onnx.NodeProto, values: dict[str, Array]) -> Grid:
    scale = values.get(node.input[1])
    zero = values.get(node.input[2]) if len(node.input) > 2 else np.zeros((), np.uint8)
    if scale is None or zero is None or scale.size != 1 or zero.size != 1:
        raise CalibrationError(
            f"{node.name!r} quantizes {node.input[0]!r} without a single constant scale and "
            "zero-point.",
            next_command="edgekit inspect MODEL.onnx",
        )
    if zero.dtype not in (np.int8, np.uint8) or not float(scale.reshape(-1)[0]) > 0.0:
        raise CalibrationError(
            f"{node.name!r} quantizes {node.input[0]!r} to {zero.dtype} with scale "
            f"{float(scale.reshape(-1)[0])}: only int8 and uint8 with a positive scale are read.",
            next_command="edgekit inspect MODEL.onnx",
        )
    dtype: type[np.int8] | type[np.uint8] = np.int8 if zero.dtype == np.int8 else np.uint8
    return Grid(np.float32(scale.reshape(-1)[0]), int(zero.reshape(-1)[0]), dtype)
