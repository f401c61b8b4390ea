"""Recentring: the eighth bit for activations that are never negative, under symmetric INT8.

Symmetric INT8 spends half its codes on values that a ReLU never makes. Shifted by c = 128 s with
s = range / 255, the activation x - c fills [-128, 127] exactly: unsigned 8-bit arithmetic with
zero-point 128, written in symmetric form. The shift costs nothing at run time:
Clip(x, 0, h) - c = Clip(x - c, -c, h - c), so the producer's bias takes -c, the Clip moves its
bounds, and the consumer's bias takes + c * sum(Wq). Wq is the weight *after* rounding: the engine
multiplies c by Wq, and c * sum(W - Wq) would come back as an error in every output.

A padded consumer must pad with the shifted zero: Pad(-c) stands between the activation and
QuantizeLinear and the convolution becomes valid. Behind a DequantizeLinear it would run in float.

SiLU and h-swish go a little below zero and have no Clip whose bounds could move. Where it is asked
for, a Sub stands before their QuantizeLinear; with z the code of the true zero in 0 to 255, it
takes off c = (128 - z) s. That is one more operation at run time.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, replace

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import helper

from calibration.graph import Graph, Use
from calibration.nodes import add_constant, drop_attributes, set_constant, unused_name
from calibration.placement import Pair, Placement
from calibration.repair.shifts import Region, explicit_region, regions
from calibration.rewrites import sort_nodes
from calibration.rounding import fake_quantize
from calibration.table import Range
from calibration.window import window_in

__all__ = ["Recentred", "recentre", "shifted_range", "zero_code"]


@dataclass(frozen=True)
class Recentred:
    """A graph with shifted activations, its placement, and the ranges of the shifted tensors.

    `shifts` gives the c of every tensor that now holds x - c; `explicit` counts those among them
    that a Sub makes.
    """

    model: onnx.ModelProto
    placement: Placement
    ranges: dict[str, Range]
    shifts: dict[str, float]
    explicit: int = 0


def shifted_range(span: Range) -> Range:
    """Return the symmetric range whose INT8 codes -128 to 127 stand for span.low to span.high.

    Zero is covered. The step is a 255th of the span and amax is 127 steps; the true zero lies at
    `zero_code` - 128.
    """
    amax = 127.0 * ((max(span.high, 0.0) - min(span.low, 0.0)) / 255.0)
    return Range(-amax, amax, f"{span.method}, recentred")


def zero_code(span: Range) -> int:
    """Return which of the codes 0 to 255 of a recentred range stands for zero."""
    step = shifted_range(span).scale
    return int(np.clip(np.rint(-min(span.low, 0.0) / step), 0, 255)) if step > 0.0 else 0


def recentre(
    model: onnx.ModelProto,
    placement: Placement,
    ranges: dict[str, Range],
    *,
    weight_bits: int,
    explicit: Collection[str] = (),
) -> Recentred:
    """Return the graph with every activation recentred whose uses can all be rewritten.

    `ranges` holds the range of every pair; those of one group are united. The tensors of
    `explicit` that can be are shifted by a Sub.
    """
    result = onnx.ModelProto()
    result.CopyFrom(model)
    writer = _Writer(result, Graph(model), placement, weight_bits)
    shifts: dict[str, float] = {}
    united = dict(ranges)
    for region in regions(writer.graph, placement):
        spans = [ranges[pair.tensor] for pair in region.pairs]
        high = max(span.high for span in spans)
        if high <= 0.0:
            continue  # a dead activation: zero is on every grid
        span = Range(0.0, high, spans[0].method)
        step = np.float32(shifted_range(span).scale)
        shift = float(np.float32(128.0) * step)
        writer.shift(region, shift)
        shifts |= dict.fromkeys(region.tensors, shift)
        united |= {pair.tensor: shifted_range(span) for pair in region.pairs}
    subtracted = 0
    for tensor in explicit:
        own, zero = explicit_region(writer.graph, placement, tensor), zero_code(ranges[tensor])
        if own is None or tensor in shifts or zero == 128:
            continue
        shifted = shifted_range(ranges[tensor])
        shift = (128 - zero) * float(np.float32(shifted.scale))
        name = writer.subtract(own, shift)
        shifts[name], united[name] = shift, shifted
        subtracted += 1
    placed, made = writer.finish(shifts)
    united |= {new: united[old] for new, old in made.items()}
    return Recentred(result, placed, united, shifts, subtracted)


class _Writer:
    """Rewrites producers, activations and consumers in place."""

    def __init__(
        self, model: onnx.ModelProto, graph: Graph, placement: Placement, weight_bits: int
    ) -> None:
        self.graph = graph
        self._model = model
        self._placement = placement
        self._bits = weight_bits
        self._axes = {pair.use.node: pair.axis for pair in placement.weights}
        self._nodes = {node.name: node for node in model.graph.node}
        self._bias: dict[str, NDArray[np.float64]] = {}
        self._pads: dict[Use, str] = {}
        self._padded: dict[str, str] = {}
        self._made: dict[tuple[str, tuple[int, ...]], str] = {}
        self._subtracted: dict[str, str] = {}

    def shift(self, region: Region, shift: float) -> None:
        """Let every tensor of `region` hold its value minus `shift`."""
        for name in region.roots:
            self._move_bounds(self._nodes[name], shift)
        for name, count in region.absorbers.items():
            self._add_bias(self._nodes[name], count * shift)
        for use in region.consumers:
            self._consumer(use, shift)

    def subtract(self, region: Region, shift: float) -> str:
        """Let the consumers of `region` read its tensor less `shift`; return what they read."""
        tensor = region.tensors[0]
        name = unused_name(self._model.graph, f"{tensor}_shifted")
        amount = add_constant(self._model.graph, f"{name}_amount", _scalar(shift))
        self._model.graph.node.append(helper.make_node("Sub", [tensor, amount], [name], name))
        self._subtracted[tensor] = name
        for use in region.consumers:
            self._nodes[use.node].input[0] = name
            self._consumer(use, shift)
        return name

    def finish(self, shifts: dict[str, float]) -> tuple[Placement, dict[str, str]]:
        """Write the biases and return the new placement, and what each padded tensor pads."""
        for name, values in self._bias.items():
            set_constant(self._model, name, values.astype(np.float32))
        sort_nodes(self._model.graph)
        pairs: list[Pair] = []
        for pair in self._placement.pairs:
            plain = tuple(use for use in pair.uses if use not in self._pads)
            if plain or not pair.uses:
                named = self._subtracted.get(pair.tensor, pair.tensor)
                pairs.append(replace(pair, tensor=named, uses=plain))
            for tensor in dict.fromkeys(self._pads[u] for u in pair.uses if u in self._pads):
                uses = tuple(use for use in pair.uses if self._pads.get(use) == tensor)
                pairs.append(Pair(tensor, uses, pair.group))
        return replace(self._placement, pairs=tuple(pairs)), dict(self._padded)

    def _move_bounds(self, node: onnx.NodeProto, shift: float) -> None:
        low = add_constant(self._model.graph, f"{node.output[0]}_low", _scalar(-shift))
        inputs = [node.input[0], low]
        if node.op_type == "Clip" and len(node.input) > 2 and node.input[2]:
            bound = self.graph.constant(node.input[2])
            high = _scalar(float(np.asarray(bound)) - shift)
            inputs.append(add_constant(self._model.graph, f"{node.output[0]}_high", high))
        node.op_type = "Clip"
        node.input[:] = inputs

    def _consumer(self, use: Use, shift: float) -> None:
        node = self._nodes[use.node]
        weight = self.graph.constant(node.input[1])
        if weight is None:
            raise ValueError(f"{node.name!r} has no constant weight")
        if node.name in self._axes:
            weight = fake_quantize(weight, self._axes[node.name], self._bits)
        sums = weight.astype(np.float64).reshape(weight.shape[0], -1).sum(axis=1)
        self._add_bias(node, shift * sums)
        if node.op_type == "Conv":
            self._pad(use, node, shift)

    def _pad(self, use: Use, node: onnx.NodeProto, shift: float) -> None:
        window = window_in(self.graph, self.graph.node(use.node))
        if not window.padded:
            return
        tensor, pads = node.input[0], (0, 0, *window.before, 0, 0, *window.after)
        if (tensor, pads) not in self._made:
            name = unused_name(self._model.graph, f"{tensor}_padded")
            amounts = add_constant(self._model.graph, f"{name}_amounts", np.array(pads, np.int64))
            value = add_constant(self._model.graph, f"{name}_value", _scalar(-shift))
            made = helper.make_node("Pad", [tensor, amounts, value], [name], name)
            self._model.graph.node.append(made)
            self._made[tensor, pads] = name
            self._padded[name] = tensor
        drop_attributes(node, "pads", "auto_pad")
        self._pads[use] = node.input[0] = self._made[tensor, pads]

    def _add_bias(self, node: onnx.NodeProto, change: NDArray[np.float64] | float) -> None:
        name = node.input[2]
        if name not in self._bias:
            self._bias[name] = np.asarray(self.graph.constant(name), np.float64)
        self._bias[name] = self._bias[name] + change


def _scalar(value: float) -> NDArray[np.float32]:
    return np.asarray(value, np.float32)
