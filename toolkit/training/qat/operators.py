"""The operators of a prepared ONNX classifier in PyTorch, so that gradients flow through them.

Add an operator with one function and one row. What is no tensor of floats (shapes, axes) is read
from the constants of the graph.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from calibration.nodes import Array

__all__ = ["OPERATORS", "Call"]


@dataclass(frozen=True)
class Call:
    """One node: its inputs (None where left out or no floats), attributes and constant inputs.

    `outputs` is how many tensors it makes.
    """

    inputs: Sequence[Tensor | None]
    attributes: Mapping[str, Any]
    constants: Sequence[Array | None]
    outputs: int = 1

    def tensor(self, index: int) -> Tensor:
        """Return an input that must be there. Raises ValueError."""
        value = self.optional(index)
        if value is None:
            raise ValueError(f"input {index} is no tensor of floats")
        return value

    def optional(self, index: int) -> Tensor | None:
        """Return an input, or None."""
        return self.inputs[index] if index < len(self.inputs) else None

    def integers(self, index: int, name: str = "") -> list[int] | None:
        """Return what old opsets keep in an attribute and new ones in a constant input."""
        if index < len(self.constants) and (value := self.constants[index]) is not None:
            return [int(each) for each in np.atleast_1d(value)]
        found = self.attributes.get(name)
        return None if found is None else [int(each) for each in found]

    def known(self, index: int, name: str = "") -> list[int]:
        """Return integers that must be constant. Raises ValueError."""
        found = self.integers(index, name)
        if found is None:
            raise ValueError(f"input {index} is computed")
        return found


Result = Tensor | tuple[Tensor, ...]


def _padded(call: Call, value: float, *, most: int = 1 << 30) -> tuple[Tensor, tuple[int, int]]:
    """Return the input and what padding is left to PyTorch, (rows, columns), `most` at most."""
    if call.attributes.get("auto_pad", b"NOTSET") not in (b"NOTSET", b"VALID"):
        raise ValueError("auto_pad")
    if call.tensor(0).ndim != 4:
        raise ValueError(f"{call.tensor(0).ndim - 2} spatial axes")
    top, left, bottom, right = call.attributes.get("pads", [0, 0, 0, 0])
    if (top, left) == (bottom, right) and max(top, left) <= most:
        return call.tensor(0), (top, left)
    return functional.pad(call.tensor(0), (left, right, top, bottom), value=value), (0, 0)


def _conv(call: Call) -> Tensor:
    images, padding = _padded(call, 0.0)
    return functional.conv2d(
        images,
        call.tensor(1),
        call.optional(2),
        stride=tuple(call.attributes.get("strides", [1, 1])),
        padding=padding,
        dilation=tuple(call.attributes.get("dilations", [1, 1])),
        groups=int(call.attributes.get("group", 1)),
    )


def _gemm(call: Call) -> Tensor:
    a, b, c = call.tensor(0), call.tensor(1), call.optional(2)
    a = a.T if call.attributes.get("transA", 0) else a
    b = b.T if call.attributes.get("transB", 0) else b
    product: Tensor = (a @ b) * float(call.attributes.get("alpha", 1.0))
    return product if c is None else product + float(call.attributes.get("beta", 1.0)) * c


def _max_pool(call: Call) -> Tensor:
    kernel = tuple(call.attributes["kernel_shape"])
    images, padding = _padded(call, float("-inf"), most=min(kernel) // 2)
    pooled: Tensor = functional.max_pool2d(
        images,
        kernel,
        stride=tuple(call.attributes.get("strides", [1, 1])),
        padding=padding,
        dilation=tuple(call.attributes.get("dilations", [1, 1])),
        ceil_mode=bool(call.attributes.get("ceil_mode", 0)),
    )
    return pooled


def _average_pool(call: Call) -> Tensor:
    kernel = tuple(call.attributes["kernel_shape"])
    counts_padding = bool(call.attributes.get("count_include_pad", 0))
    images, padding = _padded(call, 0.0, most=min(kernel) // 2)
    if padding == (0, 0) and any(call.attributes.get("pads", [])) and not counts_padding:
        raise ValueError("uneven pads that do not count")
    return functional.avg_pool2d(
        images,
        kernel,
        stride=tuple(call.attributes.get("strides", [1, 1])),
        padding=padding,
        ceil_mode=bool(call.attributes.get("ceil_mode", 0)),
        count_include_pad=counts_padding,
    )


def _batch_normalization(call: Call) -> Tensor:
    if call.attributes.get("training_mode", 0):
        raise ValueError("in training mode")
    values, scale, bias, mean, variance = (call.tensor(index) for index in range(5))
    epsilon = float(call.attributes.get("epsilon", 1e-5))
    return functional.batch_norm(values, mean, variance, scale, bias, eps=epsilon)


def _mean(call: Call) -> Tensor:
    axes = call.integers(1, "axes")
    return call.tensor(0).mean(axes, keepdim=bool(call.attributes.get("keepdims", 1)))


def _clip(call: Call) -> Tensor:
    low, high = call.optional(1), call.optional(2)
    if low is None and high is None:
        return call.tensor(0)
    return torch.clamp(call.tensor(0), min=low, max=high)


def _reshape(call: Call) -> Tensor:
    values, wanted = call.tensor(0), call.known(1)
    if call.attributes.get("allowzero", 0) and 0 in wanted:
        raise ValueError("an empty shape")
    return values.reshape([values.shape[i] if n == 0 else n for i, n in enumerate(wanted)])


def _flatten(call: Call) -> Tensor:
    if call.attributes.get("axis", 1) != 1:
        raise ValueError(f"axis {call.attributes['axis']}")
    return call.tensor(0).flatten(1)


def _concat(call: Call) -> Tensor:
    parts = [call.tensor(index) for index in range(len(call.inputs))]
    return torch.cat(parts, int(call.attributes["axis"]))


def _split(call: Call) -> Result:
    values, axis = call.tensor(0), int(call.attributes.get("axis", 0))
    sizes = call.integers(1, "split")
    return torch.split(values, sizes or -(-values.shape[axis] // call.outputs), axis)


def _slice(call: Call) -> Tensor:
    values, starts, ends = call.tensor(0), call.known(1, "starts"), call.known(2, "ends")
    axes = call.integers(3, "axes") or list(range(len(starts)))
    steps = call.integers(4) or [1] * len(starts)
    if min(steps) < 1:
        raise ValueError(f"steps {steps}")
    for axis, start, end, step in zip(axes, starts, ends, steps, strict=True):
        cut = [slice(None)] * values.ndim
        cut[axis] = slice(start, end, step)
        values = values[tuple(cut)]
    return values


def _gather(call: Call) -> Tensor:
    indices = call.constants[1]
    if indices is None or indices.ndim:
        raise ValueError("indices that are no single constant")
    axis = int(call.attributes.get("axis", 0))
    index = int(indices) % call.tensor(0).shape[axis]
    return call.tensor(0).select(axis, index)


def _pad(call: Call) -> Tensor:
    if call.attributes.get("mode", b"constant") != b"constant" or call.integers(3):
        raise ValueError("mode or axes")
    values, pads = call.tensor(0), call.known(1, "pads")
    ranks = range(values.ndim - 1, -1, -1)  # PyTorch starts with the last axis
    amounts = [pads[side * values.ndim + axis] for axis in ranks for side in (0, 1)]
    filled = call.constants[2] if len(call.constants) > 2 else None
    return functional.pad(values, amounts, value=0.0 if filled is None else float(filled))


def _squeeze(call: Call) -> Tensor:
    axes = call.integers(1, "axes")
    return call.tensor(0).squeeze() if axes is None else call.tensor(0).squeeze(tuple(axes))


def _unsqueeze(call: Call) -> Tensor:
    values, axes = call.tensor(0), call.known(1, "axes")
    for axis in sorted(axis % (values.ndim + len(axes)) for axis in axes):
        values = values.unsqueeze(axis)
    return values


def _transpose(call: Call) -> Tensor:
    values = call.tensor(0)
    return values.permute(*call.attributes.get("perm", range(values.ndim - 1, -1, -1)))


def _hard_sigmoid(call: Call) -> Tensor:
    alpha, beta = call.attributes.get("alpha", 0.2), call.attributes.get("beta", 0.5)
    return torch.clamp(alpha * call.tensor(0) + beta, 0.0, 1.0)


OPERATORS: dict[str, Callable[[Call], Result]] = {
    "Add": lambda call: call.tensor(0) + call.tensor(1),
    "AveragePool": _average_pool,
    "BatchNormalization": _batch_normalization,
    "Clip": _clip,
    "Concat": _concat,
    "Conv": _conv,
    "Div": lambda call: call.tensor(0) / call.tensor(1),
    "Flatten": _flatten,
    "Gather": _gather,
    "Gemm": _gemm,
    "GlobalAveragePool": lambda call: call.tensor(0).mean((2, 3), keepdim=True),
    "GlobalMaxPool": lambda call: call.tensor(0).amax((2, 3), keepdim=True),
    "HardSigmoid": _hard_sigmoid,
    "HardSwish": lambda call: functional.hardswish(call.tensor(0)),
    "Identity": lambda call: call.tensor(0),
    "LeakyRelu": lambda call: functional.leaky_relu(
        call.tensor(0), call.attributes.get("alpha", 0.01)
    ),
    "MatMul": lambda call: call.tensor(0) @ call.tensor(1),
    "MaxPool": _max_pool,
    "Mul": lambda call: call.tensor(0) * call.tensor(1),
    "Pad": _pad,
    "ReduceMean": _mean,
    "Relu": lambda call: functional.relu(call.tensor(0)),
    "Reshape": _reshape,
    "Sigmoid": lambda call: torch.sigmoid(call.tensor(0)),
    "Slice": _slice,
    "Softmax": lambda call: torch.softmax(call.tensor(0), int(call.attributes.get("axis", -1))),
    "Split": _split,
    "Squeeze": _squeeze,
    "Sub": lambda call: call.tensor(0) - call.tensor(1),
    "Tanh": lambda call: torch.tanh(call.tensor(0)),
    "Transpose": _transpose,
    "Unsqueeze": _unsqueeze,
}
