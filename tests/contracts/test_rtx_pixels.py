"""A picture on its own levels costs TensorRT-RTX no INT8 layer and no kernel."""

from __future__ import annotations

from types import ModuleType

import numpy as np
import onnx
import pytest

from calibration.quantize import quantize
from calibration.repair.pixels import Levels
from calibration.schemes import SCHEMES, Scheme
from tests.contracts.rtx_table import layers_of
from tests.unit.calibration.nets import Net

pytestmark = pytest.mark.slow

SYMMETRIC = [s for s in SCHEMES.values() if s.shifts_activations]


def _network(kernel: int) -> onnx.ModelProto:
    net = Net(size=16)
    first = net.add("Relu", net.conv(net.input, 32, kernel, name="stem", stride=2))
    second = net.add("Relu", net.conv(first, 64, 3, name="padded"))
    pooled = net.add("GlobalAveragePool", net.conv(second, 64, 1, name="pointwise"))
    return net.model(net.gemm(net.add("Flatten", pooled), 64, 10), opset=17, batch=1)


@pytest.mark.parametrize("kernel", [1, 3], ids=["valid", "padded"])
@pytest.mark.parametrize("scheme", SYMMETRIC, ids=lambda scheme: scheme.name)
def test_what_makes_the_codes_is_fused_and_every_convolution_stays_in_int8(
    trt: ModuleType, scheme: Scheme, kernel: int
) -> None:
    images = np.random.default_rng(0).normal(size=(16, 3, 16, 16)).astype(np.float32)
    plain, coded = (
        quantize(
            _network(kernel),
            lambda: [images],
            scheme=scheme,
            effort="fast",
            model_digest="m",
            levels=levels,
        )
        for levels in (None, Levels((58.4, 57.1, 57.4), (123.7, 116.3, 103.5)))
    )
    assert "input_pixels" in coded.table.ranges
    before, after = (layers_of(trt, made.model) for made in (plain, coded))
    assert after.warnings == ()
    assert after.table.int8_nodes == before.table.int8_nodes == {"stem", "padded", "pointwise"}
    assert after.table.kernels == before.table.kernels
