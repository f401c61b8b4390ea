"""A Sub in front of QuantizeLinear costs TensorRT-RTX no INT8 layer and no kernel of its own."""

from __future__ import annotations

from types import ModuleType

import numpy as np
import onnx
import pytest

from calibration.quantize import quantize
from calibration.schemes import SCHEMES, Scheme
from tests.contracts.rtx_table import layers_of
from tests.unit.calibration.nets import Net

pytestmark = pytest.mark.slow

SYMMETRIC = [s for s in SCHEMES.values() if s.shifts_activations]


def _network(gate: str) -> onnx.ModelProto:
    """Return three convolutions, a SiLU or h-swish between them, and a classifier."""
    net = Net(size=16)

    def activated(source: str, name: str) -> str:
        factor = net.add(gate, source, name=f"{name}_gate")
        return net.add("Mul", source, factor, name=name)

    first = activated(net.conv(net.input, 32, 3, name="stem"), "first")
    second = activated(net.conv(first, 64, 3, name="padded", stride=2), "second")
    pooled = net.add("GlobalAveragePool", net.conv(second, 64, 1, name="pointwise"))
    return net.model(net.gemm(net.add("Flatten", pooled), 64, 10), opset=17, batch=1)


@pytest.mark.parametrize("gate", ["Sigmoid", "HardSigmoid"])
@pytest.mark.parametrize("scheme", SYMMETRIC, ids=lambda scheme: scheme.name)
def test_the_sub_is_fused_and_every_convolution_stays_in_int8(
    trt: ModuleType, scheme: Scheme, gate: str
) -> None:
    images = np.random.default_rng(0).normal(size=(16, 3, 16, 16)).astype(np.float32)
    plain, shifted = (
        quantize(
            _network(gate),
            lambda: [images],
            scheme=scheme,
            effort="fast",
            model_digest="m",
            explicit_shifts=explicit,
        )
        for explicit in (False, True)
    )
    assert sum(node.op_type == "Sub" for node in shifted.model.graph.node) == 2
    before, after = (layers_of(trt, made.model) for made in (plain, shifted))
    assert after.warnings == ()
    assert after.table.int8_nodes == before.table.int8_nodes == {"stem", "padded", "pointwise"}
    assert after.table.kernels == before.table.kernels
