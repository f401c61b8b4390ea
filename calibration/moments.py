"""How the inputs of each layer vary together: what decides which rounding errors cancel."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import onnx
from numpy.typing import NDArray

from calibration.collect import runs
from calibration.execute import Runner, up_to
from calibration.graph import Graph
from calibration.nodes import attribute
from calibration.window import Window, window_of

__all__ = ["Moments", "blocks_of", "input_moments"]

_POSITIONS = 128
"""Output positions per image that enter the moments of a convolution."""
_LARGEST_BLOCK = 1024
_RUN_BYTES = 48 << 20


@dataclass(frozen=True)
class Moments:
    """The covariance of the inputs that one output sums up, in (B, I, I) blocks.

    A block is one group of a grouped convolution; groups with more than 1024 inputs are cut into
    blocks of whole channels, and inputs of different blocks count as uncorrelated.
    """

    covariance: NDArray[np.float64]


def blocks_of(weight_shape: Sequence[int], groups: int) -> tuple[int, int, int, int]:
    """Return groups, rows per group, blocks per group and inputs per block of a weight."""
    outputs, channels = weight_shape[:2]
    taps = int(np.prod(weight_shape[2:]))
    fits = [n for n in range(1, channels + 1) if channels % n == 0]
    cut = next((n for n in fits if channels // n * taps <= _LARGEST_BLOCK), channels)
    return groups, outputs // groups, cut, channels // cut * taps


def input_moments(
    model: onnx.ModelProto, layers: Sequence[onnx.NodeProto], images: NDArray[np.float32]
) -> dict[str, Moments]:
    """Return the moments of the float input of each layer, by node name, over `images`."""
    graph = Graph(model)
    found: dict[str, Moments] = {}
    for part in _parts(graph, layers):
        sums = {node.name: _Sums(graph, node) for node in part}
        tensors = sorted({node.input[0] for node in part})
        runner = Runner(up_to(model, tensors))
        for values in runner.run_each(graph.inputs[0], runs([images], graph, 2), tensors):
            for node in part:
                sums[node.name].add(values[node.input[0]])
        found |= {name: entry.moments() for name, entry in sums.items()}
    return found


class _Sums:
    """First and second moments of one layer's input patches, added up over runs."""

    def __init__(self, graph: Graph, node: onnx.NodeProto) -> None:
        shape = [int(length or 0) for length in graph.shape(node.input[1]) or ()]
        self._kernel = tuple(shape[2:])
        self._node = node
        groups = int(attribute(node, "group", 1))
        count, _, cut, inputs = blocks_of(shape, groups)
        self._blocks = count * cut
        self._second = np.zeros((self._blocks, inputs, inputs))
        self._first = np.zeros((self._blocks, inputs))
        self._rows = 0

    def add(self, values: NDArray[np.float32]) -> None:
        if values.ndim == 4:
            window = window_of(self._node, values.shape[2:], self._kernel)
            rows = _patches(values, window)
        else:
            rows = values.reshape(len(values), -1)
        columns = np.ascontiguousarray(rows.reshape(len(rows), self._blocks, -1).transpose(1, 2, 0))
        self._second += columns @ columns.transpose(0, 2, 1)
        self._first += columns.sum(axis=2)
        self._rows += len(rows)

    def moments(self) -> Moments:
        mean = self._first / self._rows
        return Moments(self._second / self._rows - mean[:, :, None] * mean[:, None, :])


def _patches(values: NDArray[np.float32], window: Window) -> NDArray[np.float32]:
    """Return (positions, C * taps): what the kernel meets at an even grid of output positions."""
    pads = [(0, 0), (0, 0), *zip(window.before, window.after, strict=True)]
    padded = np.pad(values, pads) if window.padded else values
    counts = [window.outputs(axis, values.shape[2 + axis]) for axis in (0, 1)]
    every = max(1, int((counts[0] * counts[1] / _POSITIONS) ** 0.5))
    taps = []
    for row in range(window.kernel[0]):
        for column in range(window.kernel[1]):
            slices = [
                slice(
                    tap * window.dilations[axis] + every // 2 * window.strides[axis],
                    tap * window.dilations[axis] + (counts[axis] - 1) * window.strides[axis] + 1,
                    every * window.strides[axis],
                )
                for axis, tap in ((0, row), (1, column))
            ]
            taps.append(padded[:, :, slices[0], slices[1]])
    stacked = np.stack(taps, axis=2)  # (n, C, taps, h, w)
    return stacked.transpose(0, 3, 4, 1, 2).reshape(-1, values.shape[1] * len(taps))


def _parts(graph: Graph, layers: Sequence[onnx.NodeProto]) -> list[list[onnx.NodeProto]]:
    """Cut the layers into runs whose inputs fit _RUN_BYTES for one image times four."""
    parts: list[list[onnx.NodeProto]] = [[]]
    held = 0
    for node in layers:
        lengths = [n for n in (graph.shape(node.input[0]) or ())[1:] if n is not None]
        size = 16 * int(np.prod(lengths))
        if parts[-1] and held + size > _RUN_BYTES:
            parts.append([])
            held = 0
        parts[-1].append(node)
        held += size
    return parts
