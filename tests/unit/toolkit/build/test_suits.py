from __future__ import annotations

from pathlib import Path

import pytest

from targets import get
from targets.support import decide
from tests.unit.toolkit.onnx_graphs import contract
from toolkit.artifacts import OnnxModel
from toolkit.build.suits import check_scheme
from toolkit.errors import ContractError, SchemeError


def check(scheme: str, target: str, *, precision: str = "int8") -> None:
    model = OnnxModel(Path("m.onnx"), "0" * 64, contract(scheme=scheme, precision=precision))
    row = get(target)
    check_scheme(model, row, decide(row, precision=precision))


@pytest.mark.parametrize("scheme", ["tensorrt", "tensorrt-8", "tensorrt-rtx"])
def test_every_tensorrt_scheme_suits_rtx(scheme: str) -> None:
    check(scheme, "rtx-4090")


@pytest.mark.parametrize(
    ("scheme", "target"),
    [
        ("onnxruntime-x86", "cpu-x86"),
        ("onnxruntime-x86", "cpu-x86-vnni"),
        ("onnxruntime-x86-vnni", "cpu-x86-vnni"),
        ("onnxruntime-arm64", "cpu-arm64"),
        ("onnxruntime-x86", "cpu-arm64"),
    ],
)
def test_weights_as_narrow_as_the_cpu_needs_suit_it(scheme: str, target: str) -> None:
    check(scheme, target)


def test_a_float_model_suits_every_target() -> None:
    check("", "cpu-x86", precision="fp32")
    check("", "rtx-4090", precision="fp16")


def test_a_tensorrt_model_for_the_cpu_is_refused_with_the_calibrate_line() -> None:
    with pytest.raises(SchemeError, match="activations are int8, not uint8") as caught:
        check("tensorrt", "cpu-x86")
    assert caught.value.next_command == (
        "edgekit calibrate MODEL.onnx --images DIR --target cpu-x86"
    )


def test_an_onnxruntime_model_for_rtx_is_refused_with_the_calibrate_line() -> None:
    with pytest.raises(SchemeError, match="activations are uint8, not int8") as caught:
        check("onnxruntime-x86-vnni", "rtx-4090")
    assert caught.value.next_command.endswith("--target rtx-4090")


def test_eight_bit_weights_are_refused_where_they_saturate() -> None:
    with pytest.raises(SchemeError, match="8-bit weights saturate"):
        check("onnxruntime-x86-vnni", "cpu-x86")


def test_a_scheme_of_the_future_asks_for_an_upgrade() -> None:
    with pytest.raises(ContractError, match="'tensorrt-99'"):
        check("tensorrt-99", "rtx-4090")


def test_an_int8_model_that_names_no_scheme_is_not_trusted() -> None:
    with pytest.raises(ContractError, match="scheme ''"):
        check("", "rtx-4090")
