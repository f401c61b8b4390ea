"""TensorRT-RTX, with no GPU, confirms every placement: its own layer table says Int8 x Int8."""

from __future__ import annotations

from collections.abc import Callable
from types import ModuleType

import onnx
import pytest

from calibration.graph import prepare
from calibration.insert import insert_qdq
from calibration.placement import Placement, place
from calibration.precision import fp16_model
from calibration.schemes import SCHEMES, Scheme
from calibration.table import CalibrationTable, Range
from tests.contracts.rtx_table import layers_of
from tests.contracts.test_schemes import PATTERNS
from tests.unit.calibration.nets import Net

pytestmark = pytest.mark.slow

SYMMETRIC = [scheme for scheme in SCHEMES.values() if scheme.activations == "int8"]
FP16_WARNINGS = ("Converting conv activation scales to fp32", "Converting conv weight scales to")
"""INT8 convolutions scale in float32 there; an FP16 scale is exact in it."""


def _quantized(
    pattern: Callable[[Net], str], scheme: Scheme, *, opset: int = 17
) -> tuple[onnx.ModelProto, Placement]:
    net = Net()
    model = prepare(net.model(pattern(net), opset=opset, batch=1))
    placement = place(model, scheme)
    ranges = {pair.tensor: Range(-5.0, 5.0, "test") for pair in placement.pairs}
    table = CalibrationTable("", "test", 1, 0, ranges)
    return insert_qdq(model, placement, table, scheme), placement


@pytest.mark.parametrize("pattern", PATTERNS, ids=lambda pattern: pattern.__name__.strip("_"))
@pytest.mark.parametrize("scheme", SYMMETRIC, ids=lambda scheme: scheme.name)
def test_every_layer_that_placement_calls_int8_runs_in_int8_without_a_warning(
    trt: ModuleType, scheme: Scheme, pattern: Callable[[Net], str]
) -> None:
    model, placement = _quantized(pattern, scheme)
    outcome = layers_of(trt, model)
    assert outcome.warnings == ()
    assert outcome.table.int8_nodes == set(placement.int8_nodes)


@pytest.mark.parametrize("pattern", PATTERNS, ids=lambda pattern: pattern.__name__.strip("_"))
def test_the_fp16_form_keeps_every_int8_layer(
    trt: ModuleType, pattern: Callable[[Net], str]
) -> None:
    model, placement = _quantized(pattern, SCHEMES["tensorrt-rtx"], opset=20)
    half, _ = fp16_model(model)
    outcome = layers_of(trt, half)
    assert [w for w in outcome.warnings if not any(part in w for part in FP16_WARNINGS)] == []
    assert outcome.table.int8_nodes == set(placement.int8_nodes)


def test_one_engine_for_every_gpu_generation_runs_the_same_layers_in_int8(trt: ModuleType) -> None:
    model, placement = _quantized(PATTERNS[1], SCHEMES["tensorrt-rtx"])
    for sms in (("SM80",), ("SM86",), ("SM120",), ("SM121",), ("SM86", "SM89", "SM120")):
        outcome = layers_of(trt, model, sms)
        assert outcome.warnings == ()
        assert outcome.table.int8_nodes == set(placement.int8_nodes)
