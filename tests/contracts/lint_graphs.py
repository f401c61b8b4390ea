"""Small Q/DQ graphs, right ones and deliberately wrong ones, for what lint says about them.

Each maker takes a `Quantized` net and returns the name of the output. GRAPHS lists them; a graph
is wrong when it is refused, answers wrongly, or keeps a layer in float that carries Q/DQ.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper

from tests.unit.calibration.nets import Net

__all__ = ["GRAPHS", "Case", "Quantized", "computed_scale"]


class Quantized(Net):
    """A Net with Q/DQ: 16 channels, 8x8, one layer a few kilobytes."""

    def __init__(self, channels: int = 16) -> None:
        super().__init__(channels=channels)

    def channels_of(self, tensor: str) -> int:
        return self._channels[tensor]

    def ends(self, scale: Any, zero: Any, kind: Any) -> list[str]:
        """Add a scale and a zero-point (none for None)."""
        name = f"grid{len(self.constants)}"
        found = [self.constant(scale, f"{name}_scale")]
        return found if zero is None else [*found, self.constant(zero, f"{name}_zero", kind)]

    def q(self, tensor: str, scale: Any = 0.05, zero: Any = 0, kind: Any = np.int8) -> str:
        return self.add("QuantizeLinear", tensor, *self.ends(scale, zero, kind))

    def dq(
        self, tensor: str, scale: Any = 0.05, zero: Any = 0, kind: Any = np.int8, **extra: Any
    ) -> str:
        return self.add("DequantizeLinear", tensor, *self.ends(scale, zero, kind), **extra)

    def pair(self, tensor: str, scale: Any = 0.05, zero: Any = 0, kind: Any = np.int8) -> str:
        return self.dq(self.q(tensor, scale, zero, kind), scale, zero, kind)

    def weight(
        self, *shape: int, axis: int | None = 0, scale: float = 0.01, zero: int = 0,
        kind: Any = np.int8, stored: str = "integers",
    ) -> str:  # fmt: skip
        """Return a dequantized weight, stored as integers or as floats behind a quantizer."""
        name = f"weight{len(self.constants)}"
        size = () if axis is None else (shape[axis],)
        ends = self.ends(np.full(size, scale), np.full(size, zero), kind)
        extra: dict[str, Any] = {} if axis is None else {"axis": axis}
        if stored == "floats":
            values = self.constant(self.rng.normal(size=shape), name)
            integers = self.add("QuantizeLinear", values, *ends, **extra)
        else:
            low = 0 if kind is np.uint8 else -127
            integers = self.constant(self.rng.integers(low, 127, size=shape), name, kind)
        return self.add("DequantizeLinear", integers, *ends, **extra)

    def layer(
        self, tensor: str, channels: int = 16, kernel: int = 3, *, weight: str = "",
        bias: str = "float", group: int = 1, name: str = "", pad: int = -1, **weight_form: Any,
    ) -> str:  # fmt: skip
        """Return a convolution of `tensor` with a dequantized weight."""
        inside = self.channels_of(tensor) // group
        weight = weight or self.weight(channels, inside, kernel, kernel, **weight_form)
        inputs = [tensor, weight]
        if bias == "float":
            inputs.append(self.constant(self.rng.normal(size=channels), f"bias{len(self.nodes)}"))
        elif bias:
            inputs.append(bias)
        pads = [kernel // 2 if pad < 0 else pad] * 4
        return self.add(
            "Conv", *inputs, name=name, channels=channels, pads=pads, group=group,
            kernel_shape=[kernel, kernel],
        )  # fmt: skip

    def ints(self, *values: int) -> str:
        return self.constant(values, f"ints{len(self.constants)}", np.int64)

    def pad(self, tensor: str, *fill: float, kind: Any = np.float32, **extra: Any) -> str:
        value = [self.constant(fill[0], f"fill{len(self.constants)}", kind)] if fill else []
        return self.add("Pad", tensor, self.ints(0, 0, 1, 1, 0, 0, 1, 1), *value, **extra)


@dataclass(frozen=True)
class Case:
    """One graph. `outputs` quantized: also a pair on the result, as ONNX Runtime wants it."""

    name: str
    make: Callable[[Quantized], str]
    right: bool
    channels: int = 16
    shape: tuple[Any, ...] = ()
    opset: int = 17

    def model(self, *, result_scale: float | None = None, kind: Any = np.int8) -> onnx.ModelProto:
        """Return the model; with `result_scale` its result goes through a pair of that scale."""
        net = Quantized(self.channels)
        output = self.make(net)
        if result_scale is not None:
            output = net.pair(output, result_scale, 0, kind)
        model = net.model(output, opset=self.opset, batch=1)
        if self.shape:
            shape = helper.make_tensor_type_proto(TensorProto.FLOAT, self.shape)
            model.graph.input[0].type.CopyFrom(shape)
        return model


def _between(operator: str, net: Quantized, **extra: Any) -> str:
    return net.layer(net.add(operator, net.pair("input"), **extra))


def _shared(net: Quantized) -> str:
    both = net.pair("input")
    return net.add("Add", net.layer(both), net.layer(both, kernel=1))


def _residual(net: Quantized, *, quantized: bool) -> str:
    start = net.add("Relu", "input")
    inner = net.add("Relu", net.layer(net.pair(start)))
    skip = net.pair(start) if quantized else start
    return net.add("Relu", net.add("Add", net.layer(net.pair(inner)), skip))


def _squeeze_excite(net: Quantized) -> str:
    stem = net.layer(net.pair("input"))
    pooled = net.add("GlobalAveragePool", stem)
    hidden = net.add("Relu", net.layer(net.pair(pooled), 8, 1))
    gate = net.add("Sigmoid", net.layer(net.pair(hidden), 16, 1))
    return net.layer(net.pair(net.add("Mul", stem, gate)))


def _fire(net: Quantized, *, right: float = 0.05) -> str:
    left = net.pair(net.add("Relu", net.layer(net.pair("input"), kernel=1)))
    other = net.pair(net.add("Relu", net.layer(net.pair("input"))), right)
    return net.layer(net.add("Concat", left, other, axis=1, channels=32))


def _classifier(net: Quantized) -> str:
    pooled = net.add("Flatten", net.add("GlobalAveragePool", net.layer(net.pair("input"))))
    return net.add("Gemm", net.pair(pooled), net.weight(8, 16), transB=1, name="fc")


def _gemm(net: Quantized, *, axis: int | None = 0, columns: bool = False) -> str:
    shape = (16, 8) if columns else (8, 16)
    weight = net.weight(*shape, axis=axis)
    return net.add("Gemm", net.pair("input"), weight, transB=int(not columns), name="fc")


def _matmul(net: Quantized, *, axis: int | None = 1) -> str:
    return net.add("MatMul", net.pair("input"), net.weight(16, 8, axis=axis), name="fc")


def _computed(net: Quantized) -> str:
    return net.add("MatMul", net.pair("input"), net.pair("input"), name="product")


def _int32_bias(net: Quantized) -> str:
    bias = net.constant(np.arange(16), "bias", np.int32)
    return net.layer(net.pair("input"), bias=net.dq(bias, np.full(16, 5e-4), None, axis=0))


def _one_bad_scale(value: float, net: Quantized) -> str:
    scales = np.full(16, 0.01)
    scales[3] = value
    integers = net.constant(np.ones((16, 16, 3, 3)), "w", np.int8)
    weight = net.dq(integers, scales, np.zeros(16), axis=0)
    return net.layer(net.pair("input"), weight=weight)


def _zero_points_do_not_match(net: Quantized) -> str:
    integers = net.constant(np.ones((16, 16, 3, 3)), "w", np.int8)
    return net.layer(net.pair("input"), weight=net.dq(integers, np.full(16, 0.1), axis=0))


def _too_few_scales(net: Quantized) -> str:
    integers = net.constant(np.ones((16, 16, 3, 3)), "w", np.int8)
    weight = net.dq(integers, np.full(8, 0.1), np.zeros(8), axis=0)
    return net.layer(net.pair("input"), weight=weight)


def _padded_integers(net: Quantized) -> str:
    padded = net.pad(net.q("input"), 0, kind=np.int8)
    return net.layer(net.dq(padded), pad=0)


def _padded_twice_read(net: Quantized) -> str:
    padded = net.pad(net.pair("input"))
    return net.add("Add", net.layer(padded), net.layer(padded))


def _transposed_weight(order: list[int], net: Quantized, axis: int) -> str:
    weight = net.add("Transpose", net.weight(16, 16, 3, 3, axis=axis), perm=order)
    return net.layer(net.pair("input"), weight=weight)


def _transposed_convolution(net: Quantized) -> str:
    weight = net.weight(16, 16, 2, 2, axis=1)
    return net.add("ConvTranspose", net.pair("input"), weight, name="up", strides=[2, 2])


def _float_weight(net: Quantized) -> str:
    return net.conv(net.pair("input"), 16, 3, name="conv")


def _mixed_types(net: Quantized) -> str:
    weight = net.add("Cast", net.weight(16, 16, 3, 3), to=TensorProto.FLOAT16)
    return net.layer(net.pair("input"), weight=weight, bias="")


def _cast(net: Quantized) -> str:
    values = net.add("Cast", net.pair("input"), to=TensorProto.FLOAT16)
    weight = net.add("Cast", net.weight(16, 16, 3, 3), to=TensorProto.FLOAT16)
    back = net.layer(values, weight=weight, bias="")
    return net.add("Cast", back, to=TensorProto.FLOAT)


def _shuffle(net: Quantized) -> str:
    split = net.add("Reshape", net.pair("input"), net.ints(1, 2, 8, 8, 8))
    swapped = net.add("Transpose", split, perm=[0, 2, 1, 3, 4])
    whole = net.add("Reshape", swapped, net.ints(1, 16, 8, 8))
    net.channels(whole, 16)
    return net.layer(whole)


def _sliced(net: Quantized) -> str:
    part = net.add("Slice", net.pair("input"), net.ints(0), net.ints(8), net.ints(1), channels=8)
    return net.layer(part)


def _concat_with_float(net: Quantized) -> str:
    return net.layer(net.add("Concat", net.pair("input"), "input", axis=1, channels=32))


def _twice_quantized(net: Quantized) -> str:
    return net.layer(net.dq(net.q(net.q("input"))))


def _split_chain(net: Quantized) -> str:
    return net.layer(net.pair(net.add("Relu", net.pair(net.layer(net.pair("input"))))))


def _attention_free_softmax(net: Quantized) -> str:
    return net.add("Softmax", net.pair(net.layer(net.pair("input"))), axis=1)


def _times(values: Any, net: Quantized) -> str:
    return net.layer(net.add("Mul", net.pair("input"), net.constant(values, "factor")))


def computed_scale() -> onnx.ModelProto:
    """Return a graph with a scale that is known at run time only; it is none of GRAPHS."""
    net = Quantized()
    ends = [net.add("ReduceMax", "input", keepdims=0), net.constant(0, "zero", np.int8)]
    integers = net.add("QuantizeLinear", "input", *ends)
    return net.model(net.layer(net.add("DequantizeLinear", integers, *ends)), opset=17, batch=1)


def _linear(**form: Any) -> Callable[[Quantized], str]:
    return lambda net: net.layer(net.pair("input"), **form)


def _activation(*grid: Any) -> Callable[[Quantized], str]:
    return lambda net: net.layer(net.pair("input", *grid))


_POOL: dict[str, Any] = {"kernel_shape": [2, 2], "strides": [2, 2]}
_RAMP = np.linspace(1.0, 2.0, 16).reshape(1, 16, 1, 1)

GRAPHS: tuple[Case, ...] = (
    Case("plain", _linear(), True),
    Case("pointwise", _linear(kernel=1), True),
    Case("three_channels", _linear(), True, channels=3),
    Case("one_weight_scale", _linear(axis=None), True),
    Case("float_weights_behind_q", _linear(stored="floats"), True),
    Case("no_bias", _linear(bias=""), True),
    Case("depthwise", _linear(group=16), True),
    Case("grouped", _linear(group=4), True),
    Case("shared_pair", _shared, True),
    Case("residual", partial(_residual, quantized=True), True),
    Case("residual_skip_in_float", partial(_residual, quantized=False), True),
    Case("squeeze_excite", _squeeze_excite, True),
    Case("fire", _fire, True),
    Case("classifier", _classifier, True),
    Case("gemm_rows", _gemm, True, shape=(1, 16)),
    Case("gemm_columns", partial(_gemm, axis=1, columns=True), True, shape=(1, 16)),
    Case("matmul", _matmul, True, shape=(1, 16)),
    Case("matmul_of_a_sequence", _matmul, True, shape=(1, 4, 16)),
    Case("behind_maxpool", partial(_between, "MaxPool", **_POOL), True),
    Case("behind_identity", partial(_between, "Identity"), True),
    Case("behind_transpose", partial(_between, "Transpose", perm=[0, 1, 3, 2]), True),
    Case("behind_shuffle", _shuffle, True),
    Case("behind_slice", _sliced, True),
    Case("behind_one_factor", partial(_times, 2.0), True),
    Case("behind_cast", _cast, True, opset=19),
    Case("pad_in_front_of_q", lambda net: net.layer(net.pair(net.pad("input", 1.0)), pad=0), True),
    Case("zero_pad_behind_dq", lambda net: net.layer(net.pad(net.pair("input")), pad=0), True),
    Case("mirrored_pad", lambda net: net.layer(net.pad(net.pair("input"), mode="reflect")), True),
    Case("rotated_weight", lambda net: _transposed_weight([1, 0, 2, 3], net, 1), True),
    Case("two_pairs_in_a_row", lambda net: net.layer(net.pair(net.pair("input"))), True),
    Case("pair_inside_the_chain", _split_chain, True),
    Case("pair_before_softmax", _attention_free_softmax, True),
    Case("open_batch", _linear(), True, shape=("batch", 16, 8, 8)),
    Case("opset_23", _linear(), True, opset=23),
    Case("zero_point_3", _activation(0.05, 3), False),
    Case("no_zero_point", _activation(0.05, None), True),
    Case("uint8", _activation(0.05, 0, np.uint8), False),
    Case("uint8_zero_point_128", _activation(0.05, 128, np.uint8), False),
    Case("int16", _activation(0.05, 0, np.int16), False, opset=21),
    Case("weight_zero_point", _linear(zero=1), False),
    Case("uint8_weights", _linear(kind=np.uint8), False),
    Case("int32_bias", _int32_bias, False),
    Case("weight_axis_1", _linear(axis=1), False),
    Case("weight_axis_1_narrow", _linear(channels=8, axis=1), False),
    Case("grouped_axis_1", _linear(group=4, axis=1), False),
    Case("rotated_weight_axis_0", lambda net: _transposed_weight([1, 0, 2, 3], net, 0), False),
    Case("gemm_wrong_axis", partial(_gemm, axis=1), False, shape=(1, 16)),
    Case("gemm_columns_wrong_axis", partial(_gemm, axis=0, columns=True), False, shape=(1, 16)),
    Case("matmul_wrong_axis", partial(_matmul, axis=0), False, shape=(1, 16)),
    Case("product_of_activations", _computed, False, shape=(1, 16, 16)),
    Case("scale_per_channel", _activation(np.linspace(0.01, 0.1, 16), np.zeros(16)), False),
    Case("list_of_one_scale", _activation([0.05], [0]), False, channels=1),
    Case("scale_0", _activation(0.0), False),
    Case("scale_negative", _activation(-0.1), False),
    Case("scale_nan", _activation(np.nan), False),
    Case("scale_infinite", _activation(np.inf), False),
    Case("weight_scale_0", partial(_one_bad_scale, 0.0), False),
    Case("weight_scale_infinite", partial(_one_bad_scale, np.inf), False),
    Case("one_zero_point_for_16_scales", _zero_points_do_not_match, False),
    Case("too_few_scales", _too_few_scales, False),
    Case("pad_with_ones", lambda net: net.layer(net.pad(net.pair("input"), 1.0), pad=0), False),
    Case("pad_read_twice", _padded_twice_read, False),
    Case("padded_integers", _padded_integers, False),
    Case("behind_relu", partial(_between, "Relu"), False),
    Case("behind_average", partial(_between, "AveragePool", **_POOL), False),
    Case("behind_mean", partial(_between, "GlobalAveragePool"), False),
    Case("behind_sigmoid", partial(_between, "Sigmoid"), False),
    Case("behind_factors", partial(_times, _RAMP), False),
    Case("concat_of_two_scales", partial(_fire, right=0.1), False),
    Case("concat_with_float", _concat_with_float, False),
    Case("transposed_convolution", _transposed_convolution, False),
    Case("weight_in_float", _float_weight, False),
    Case("activation_in_float", lambda net: net.layer("input"), False),
    Case("mixed_types", _mixed_types, False, opset=19),
    Case("quantized_twice", _twice_quantized, False),
    Case("foreign_operator", lambda net: net.add("Det", net.layer(net.pair("input"))), False),
    Case(
        "dilated_pooling",
        lambda net: _between("MaxPool", net, kernel_shape=[3, 3], dilations=[2, 2]),
        False,
    ),
)
