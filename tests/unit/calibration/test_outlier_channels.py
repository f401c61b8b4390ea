"""Outlier channels planted with a known factor: minmax must lose the network, auto must not."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import onnx
import pytest
from numpy.typing import NDArray

from benchmarks.ptq_peers.outlier_channels import plant_outlier_channels
from calibration.quantize import quantize
from calibration.schemes import SCHEMES
from tests.unit.calibration.nets import Net, run

_BITS = 8
_SCHEMES = ("tensorrt", "onnxruntime-x86-vnni")


def _network() -> onnx.ModelProto:
    net = Net(size=12)
    x = net.input
    for _ in range(4):
        x = net.add("Relu", net.conv(x, 16, 3))
    x = net.add("Flatten", net.add("GlobalAveragePool", x))
    return net.model(net.gemm(x, 16, 10))


def _images(n: int, seed: int) -> NDArray[np.float32]:
    rng = np.random.default_rng(seed)
    tint = 2.0 * rng.normal(size=(n, 3, 1, 1))
    return (rng.normal(size=(n, 3, 12, 12)) + tint).astype(np.float32)


def _sqnr(model: onnx.ModelProto, *, method: str, scheme: str) -> float:
    """Return the SQNR of the INT8 logits on fresh images, of what differs between images."""
    calibration_set, fresh = _images(48, 7), _images(64, 8)

    def batches() -> Iterator[NDArray[np.float32]]:
        return (calibration_set[start : start + 8] for start in range(0, 48, 8))

    made = quantize(model, batches, scheme=SCHEMES[scheme], method=method, model_digest="m")
    wanted, got = run(model, fresh), run(made.model, fresh)
    signal = np.square(wanted - wanted.mean(axis=0)).sum()
    return float(10 * np.log10(signal / np.square(got - wanted).sum()))


def test_planted_outliers_leave_the_float_function_as_it_is_to_the_bit() -> None:
    model = _network()
    planted, count = plant_outlier_channels(model, bits=_BITS)
    images = _images(16, 3)
    assert count == 6  # two of 16 channels between each pair of the four convolutions
    assert np.array_equal(run(model, images), run(planted, images))


def test_planting_skips_activations_where_a_factor_would_show() -> None:
    net = Net()
    x = net.clip(net.conv("input", 8, 3))  # Clip does not let a factor through
    x = net.add("Relu", net.conv(x, 8, 3))
    skip = net.add("Add", net.conv(x, 8, 3), x)  # its Relu is read by an Add, too
    model = net.model(net.add("Relu", net.conv(skip, 8, 3)))
    planted, count = plant_outlier_channels(model, bits=_BITS)
    assert count == 0
    assert planted == model


@pytest.mark.parametrize("scheme", _SCHEMES)
def test_minmax_collapses_on_planted_outliers(scheme: str) -> None:
    planted, _ = plant_outlier_channels(_network(), bits=_BITS)
    assert _sqnr(_network(), method="minmax", scheme=scheme) > 20.0
    assert _sqnr(planted, method="minmax", scheme=scheme) < 8.0


@pytest.mark.parametrize("scheme", _SCHEMES)
def test_auto_survives_planted_outliers(scheme: str) -> None:
    planted, _ = plant_outlier_channels(_network(), bits=_BITS)
    assert _sqnr(planted, method="auto", scheme=scheme) > 12.0
