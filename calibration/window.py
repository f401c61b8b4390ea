"""How a convolution slides over its input: strides, dilations and padding, made explicit."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import onnx
from numpy.typing import NDArray

from calibration.graph import Graph
from calibration.nodes import attribute

__all__ = ["Window", "window_in", "window_of"]


@dataclass(frozen=True)
class Window:
    """The sliding window along each spatial axis; `before` and `after` are the padding."""

    kernel: tuple[int, ...]
    strides: tuple[int, ...]
    dilations: tuple[int, ...]
    before: tuple[int, ...]
    after: tuple[int, ...]

    @property
    def padded(self) -> bool:
        """Return whether any output sees padding."""
        return any(self.before) or any(self.after)

    @property
    def pointwise(self) -> bool:
        """Return whether every input position is read exactly once."""
        ones = (*self.kernel, *self.strides)
        return not self.padded and all(length == 1 for length in ones)

    def taps(self, axis: int, length: int) -> NDArray[np.float64]:
        """Return a (kernel, length) mask: which inputs along `axis` each kernel tap meets."""
        reach = self.dilations[axis] * (self.kernel[axis] - 1) + 1
        padded = length + self.before[axis] + self.after[axis]
        outputs = (padded - reach) // self.strides[axis] + 1
        mask = np.zeros((self.kernel[axis], length))
        for tap in range(self.kernel[axis]):
            first = tap * self.dilations[axis] - self.before[axis]
            met = first + self.strides[axis] * np.arange(outputs)
            mask[tap, met[(met >= 0) & (met < length)]] = 1.0
        return mask

    def outputs(self, axis: int, length: int) -> int:
        """Return the number of outputs along `axis`."""
        reach = self.dilations[axis] * (self.kernel[axis] - 1) + 1
        padded = length + self.before[axis] + self.after[axis]
        return (padded - reach) // self.strides[axis] + 1


def window_of(node: onnx.NodeProto, spatial: tuple[int, ...], kernel: tuple[int, ...]) -> Window:
    """Return the window of a Conv or pool over an input of `spatial` lengths.

    auto_pad SAME is resolved for these lengths, as ONNX defines it.
    """
    axes = len(kernel)
    strides = tuple(attribute(node, "strides", [1] * axes))
    dilations = tuple(attribute(node, "dilations", [1] * axes))
    mode = attribute(node, "auto_pad", b"NOTSET").decode()
    if mode in ("SAME_UPPER", "SAME_LOWER"):
        before, after = [], []
        for length, size, stride, dilation in zip(spatial, kernel, strides, dilations, strict=True):
            outputs = -(-length // stride)
            total = max(0, (outputs - 1) * stride + dilation * (size - 1) + 1 - length)
            small, large = total // 2, total - total // 2
            before.append(small if mode == "SAME_UPPER" else large)
            after.append(large if mode == "SAME_UPPER" else small)
        return Window(kernel, strides, dilations, tuple(before), tuple(after))
    pads = [0] * (2 * axes) if mode == "VALID" else attribute(node, "pads", [0] * (2 * axes))
    return Window(kernel, strides, dilations, tuple(pads[:axes]), tuple(pads[axes:]))


def window_in(graph: Graph, node: onnx.NodeProto) -> Window:
    """Return the window of a Conv by the shapes that `graph` knows of its input and weight."""
    spatial, kernel = (
        tuple(int(length or 0) for length in (graph.shape(name) or ())[2:])
        for name in node.input[:2]
    )
    return window_of(node, spatial, kernel)
