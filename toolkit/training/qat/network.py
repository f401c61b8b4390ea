"""A prepared ONNX graph as a PyTorch network that rounds exactly where Q/DQ will stand.

Where Q/DQ stands is decided by `calibration.placement` on the prepared ONNX graph, and read from
there: this module holds no rule of its own. The rounding and its straight-through gradients are
PyTorch's fake-quantize operators, with a learned step per range: Esser et al., "Learned Step Size
Quantization" (2020).

Two engines were weighed that place quantizers themselves. NVIDIA ModelOpt attaches them to the
layer modules of a PyTorch model, so the operand of a residual Add, a shared range, or a model that
came as ONNX is out of its reach. torchao's pt2e can be told edge by edge, but of a graph that
PyTorch traced: the placement would first need this module to exist, and pt2e would then insert
the operators that are called here.

Values are those before recentring: a tensor that will be recentred is rounded to the codes 0 to
255 around its true zero, which are the values that the recentred graph can take.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import onnx
import torch
from onnx import helper
from torch import Tensor, nn

from calibration.graph import Graph
from calibration.nodes import Array, set_constant
from calibration.placement import Placement, WeightPair
from calibration.rounding import Grid, largest_integer
from calibration.table import Range
from toolkit.errors import ModelError
from toolkit.training.qat.operators import OPERATORS, Call
from toolkit.training.qat.origin import QAT

__all__ = ["FLOAT", "GraphNetwork", "Rounding", "unit_of"]

_LAYERS = ("Conv", "Gemm", "MatMul")
_INSTEAD = "edgekit calibrate MODEL.onnx --images DIR --effort best"


@dataclass(frozen=True)
class Rounding:
    """Where a graph rounds, and how: a grid per group of pairs, and the bits of weights."""

    placement: Placement
    grids: Mapping[str, Grid]
    weight_bits: int


FLOAT = Rounding(Placement((), (), (), {}), {}, 8)
"""Nowhere: the graph in float."""


class GraphNetwork(nn.Module):
    """Computes logits (N, classes) of images (N, C, H, W) as `model` does, rounded by `rounding`.

    Weights and biases of all layers learn, each in `unit_of` its own, and the logarithm of one step
    per range: a learning rate is a share of what learns. Adam's steps are equally long for large
    and small weights, and those behind an outlier channel are small. Raises ModelError for an
    operator without a row in OPERATORS, at once or when it is first run.
    """

    def __init__(self, model: onnx.ModelProto, rounding: Rounding) -> None:
        super().__init__()
        self._model, self._graph, self._placement = model, Graph(model), rounding.placement
        self._grids = rounding.grids
        self._limit = largest_integer(rounding.weight_bits)
        self._weights = {(w.use.node, w.use.index): w for w in rounding.placement.weights}
        self._pairs = {
            (use.node, use.index): pair.group
            for pair in rounding.placement.pairs
            for use in pair.uses
        }
        self._attributes = {
            node.name: {a.name: helper.get_attribute_value(a) for a in node.attribute}
            for node in self._graph.nodes
        }
        self._check_operators()
        self._keys: dict[str, str] = {}
        self.learned = nn.ParameterDict()
        self._add_constants()
        self._groups = {group: f"g{index}" for index, group in enumerate(rounding.grids)}
        self.exponents = nn.ParameterDict()
        for group, grid in rounding.grids.items():
            start = math.log(float(grid.scale))
            self.exponents[self._groups[group]] = nn.Parameter(torch.tensor([start]))

    def forward(self, images: Tensor) -> Tensor:
        """Return logits (N, classes) of normalised images (N, C, H, W)."""
        graph = self._graph
        values: dict[str, Tensor] = {graph.inputs[0]: images}
        rounded: dict[tuple[str, str], Tensor] = {}
        for node in graph.nodes:
            inputs: list[Tensor | None] = []
            for index, name in enumerate(node.input):
                value = values[name] if name in values else self._constant(name)
                group = self._pairs.get((node.name, index))
                weight = self._weights.get((node.name, index))
                if value is not None and group is not None:
                    if (name, group) not in rounded:
                        rounded[name, group] = self._rounded(value, group)
                    value = rounded[name, group]
                if value is not None and weight is not None:
                    value = self._rounded_weight(value, weight)
                inputs.append(value)
            values |= self._run(node, inputs)
        result = values[graph.outputs[0]]
        ends = [pair.group for pair in self._placement.pairs if pair.tensor == graph.outputs[0]]
        return self._rounded(result, ends[0]) if ends else result

    def trained_model(self) -> onnx.ModelProto:
        """Return the float graph with the weights as they are now."""
        model = onnx.ModelProto()
        model.CopyFrom(self._model)
        for name, key in self._keys.items():
            if key in self.learned:
                values = self.learned[key] * self.get_buffer(f"{key}_unit")
                set_constant(model, name, values.detach().cpu().numpy())
        return model

    def trained_ranges(self) -> dict[str, Range]:
        """Return the range of every pair as it is now."""
        found = {}
        for group, grid in self._grids.items():
            codes, step = np.iinfo(grid.dtype), float(self._step(group).detach())
            # A symmetric range has 127 steps on either side; its code -128 is one beyond.
            lowest = -codes.max if grid.dtype is np.int8 else -grid.zero_point
            high = (codes.max - grid.zero_point) * step
            found[group] = Range(lowest * step, high, QAT)
        return {pair.tensor: found[pair.group] for pair in self._placement.pairs}

    def _run(self, node: onnx.NodeProto, inputs: list[Tensor | None]) -> dict[str, Tensor]:
        constants = [self._graph.constant(name) for name in node.input]
        call = Call(inputs, self._attributes[node.name], constants, len(node.output))
        try:
            result = OPERATORS[node.op_type](call)
        except (ValueError, IndexError, KeyError) as error:
            raise _cannot(node, f" ({error})") from error
        made = (result,) if isinstance(result, Tensor) else result
        return dict(zip(node.output, made, strict=True))

    def _check_operators(self) -> None:
        for node in self._graph.nodes:
            if node.op_type not in OPERATORS or node.domain not in ("", "ai.onnx"):
                raise _cannot(node, "")

    def _add_constants(self) -> None:
        units: dict[str, Array] = {}
        for node in self._graph.nodes:
            weight = self._graph.constant(node.input[1]) if node.op_type in _LAYERS else None
            if weight is not None and weight.ndim > 1:
                by_rows = node.op_type == "Conv" or bool(self._attributes[node.name].get("transB"))
                unit = unit_of(weight if by_rows else weight.T)
                units[node.input[1]] = unit if by_rows else unit.T
                if len(node.input) > 2:
                    length = np.sqrt(np.square(unit.reshape(len(unit), -1)).sum(axis=1))
                    units[node.input[2]] = length.astype(np.float32)
        for tensor in self._model.graph.initializer:
            values: Array = np.array(self._graph.constant(tensor.name))
            if values.dtype != np.float32:
                continue  # shapes and axes: operators read them as they are
            key = self._keys[tensor.name] = f"t{len(self._keys)}"
            if tensor.name in units and values.ndim:
                size = units[tensor.name]
                self.learned[key] = nn.Parameter(torch.from_numpy(values / size))
                self.register_buffer(f"{key}_unit", torch.from_numpy(size), persistent=False)
            else:
                self.register_buffer(key, torch.from_numpy(values), persistent=False)

    def _constant(self, name: str) -> Tensor | None:
        key = self._keys.get(name)
        if key is None:
            return None
        if key not in self.learned:
            return self.get_buffer(key)
        value: Tensor = self.learned[key] * self.get_buffer(f"{key}_unit")
        return value

    def _step(self, group: str) -> Tensor:
        return torch.exp(self.exponents[self._groups[group]])

    def _rounded(self, values: Tensor, group: str) -> Tensor:
        grid, step = self._grids[group], self._step(group)
        codes = np.iinfo(grid.dtype)
        zero = torch.full_like(step, grid.zero_point)
        rounded: Tensor = torch._fake_quantize_learnable_per_tensor_affine(
            values, step, zero, codes.min, codes.max, 1.0
        )
        return rounded

    def _rounded_weight(self, values: Tensor, pair: WeightPair) -> Tensor:
        """Return a weight on its grid, which follows the largest weight of each channel."""
        others = [axis for axis in range(values.ndim) if axis != pair.axis]
        amax = values.detach().abs().amax(others)
        step = torch.where(amax > 0, amax / self._limit, torch.ones_like(amax))
        zero = torch.zeros_like(step, dtype=torch.int32)
        limits = -self._limit, self._limit
        if pair.axis is None:
            return torch.fake_quantize_per_tensor_affine(values, step, zero, *limits)
        return torch.fake_quantize_per_channel_affine(values, step, zero, pair.axis, *limits)


def unit_of(weight: Array) -> Array:
    """Return how large each value of a weight, one output per row, is by its row and its column.

    Root mean squares: that of the row times that of the column, over that of all. A factor that
    moved from one layer to the next moves with the unit.
    """
    squares = np.square(weight.astype(np.float64)).reshape(weight.shape[0], weight.shape[1], -1)
    rows, columns = squares.mean(axis=(1, 2)), squares.mean(axis=(0, 2))
    unit = np.sqrt(np.outer(rows, columns) / max(float(squares.mean()), 1e-30))
    unit = np.where(unit > 0.0, unit, 1.0).astype(np.float32)
    shape = (*weight.shape[:2], *[1] * (weight.ndim - 2))
    return np.array(np.broadcast_to(unit.reshape(shape), weight.shape))


def _cannot(node: onnx.NodeProto, why: str) -> ModelError:
    return ModelError(
        f"Fine-tuning for INT8 has no {node.op_type} of this kind{why}: node {node.name!r}.",
        next_command=_INSTEAD,
    )
