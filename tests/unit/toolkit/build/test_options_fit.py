"""What only classic TensorRT's builder takes, and what every other target says to it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from targets import TargetError, get
from targets.support import decide
from tests.doubles.engines import write_engine
from tests.unit.toolkit.onnx_graphs import classifier, contract
from toolkit.artifacts import OnnxModel
from toolkit.build import build
from toolkit.build.options_fit import check_options, compatible_from_text
from toolkit.build.request import TensorRTOptions
from toolkit.errors import InputError
from toolkit.onnx_model.file import write_onnx

AGX = "jetson-agx-orin-64gb"
FP16 = OnnxModel(Path("m.fp16.onnx"), "", contract(precision="fp16"))


def check(target: str, options: TensorRTOptions, precision: str = "fp16") -> None:
    row = get(target)
    model = replace(FP16, contract=contract(precision=precision))
    decision = decide(row, precision=precision, dla=options.dla_core is not None)
    check_options(model, row, decision, options)


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        (TensorRTOptions(timing_cache=Path("t.cache")), "makes its builder ask for a GPU"),
        (TensorRTOptions(compatible=("version",)), "serve every GPU named in --target"),
        (TensorRTOptions(guard=Path("m.engine")), "INT8 is timed against FP16 on the GPU"),
    ],
)
def test_rtx_refuses_what_its_builder_has_not_with_the_reason(
    tmp_path: Path, options: TensorRTOptions, reason: str
) -> None:
    model = write_onnx(classifier(), tmp_path / "m.onnx", contract())
    with pytest.raises(InputError, match=reason) as caught:
        build(model.path, target="rtx-4090", options=options)
    assert caught.value.next_command == f"edgekit build {model.path} --target rtx-4090"
    assert [path.name for path in tmp_path.iterdir()] == ["m.onnx"]


def test_a_cpu_refuses_them_all(tmp_path: Path) -> None:
    model = write_onnx(classifier(), tmp_path / "m.onnx", contract())
    for options in (
        TensorRTOptions(timing_cache=tmp_path / "t"),
        TensorRTOptions(compatible=("hardware",)),
        TensorRTOptions(guard=tmp_path / "m.engine"),
    ):
        with pytest.raises(InputError, match="only TensorRT's builder has it"):
            build(model.path, target="cpu", options=options)


@pytest.mark.parametrize("target", ["cpu", "rtx-4090", "jetson-orin-nano-8gb", "jetson-t5000"])
def test_a_target_without_a_dla_refuses_its_core(tmp_path: Path, target: str) -> None:
    model = write_onnx(classifier(), tmp_path / "m.onnx", contract(precision="fp16"))
    with pytest.raises(TargetError, match="has no DLA"):
        build(model.path, target=target, options=TensorRTOptions(dla_core=0))


def test_a_dla_core_must_exist() -> None:
    check(AGX, TensorRTOptions(dla_core=1))
    with pytest.raises(InputError, match="has 2 DLA cores: there is no core 2") as caught:
        check(AGX, TensorRTOptions(dla_core=2))
    assert caught.value.next_command.endswith(f"--target {AGX} --dla-core 0")
    with pytest.raises(InputError, match="has one DLA core, 0: there is no core 1"):
        check("jetson-orin-nx-8gb", TensorRTOptions(dla_core=1))


def test_the_dla_refuses_fp32_and_qdq() -> None:
    with pytest.raises(TargetError, match="computes in FP16 and INT8"):
        check(AGX, TensorRTOptions(dla_core=0), "fp32")
    with pytest.raises(InputError, match=r"takes INT8 from a calibration cache and not from"):
        check(AGX, TensorRTOptions(dla_core=0), "int8")


def test_a_cache_is_refused_where_the_dla_reads_qdq() -> None:
    row, cache = get(AGX), Path("m.dla.cache")
    decision = decide(row, precision="int8", dla=True)
    options = TensorRTOptions(dla_core=0)
    check_options(FP16, row, decision, options, calibration_cache=cache)
    newer = replace(decision, form="qdq-strongly-typed", tensorrt="11.1", jetpack=None)
    with pytest.raises(InputError, match=r"takes INT8 from Q/DQ and not from m\.dla\.cache") as no:
        check_options(FP16, row, newer, options, calibration_cache=cache)
    assert no.value.next_command.endswith(f"--target {AGX} --dla")


@pytest.mark.parametrize(
    ("target", "word", "reason"),
    [(AGX, "hardware", "does not offer them on JetPack"), ("t4", "same-sm", "begin with Ampere")],
)
def test_engines_for_other_gpus_are_refused_where_there_are_none(
    target: str, word: str, reason: str
) -> None:
    with pytest.raises(InputError, match=reason):
        check(target, TensorRTOptions(compatible=(word,)), "int8")


def test_classic_tensorrt_takes_the_rest(tmp_path: Path) -> None:
    options = TensorRTOptions(timing_cache=tmp_path / "t", compatible=("version", "hardware"))
    check("h100-sxm", options)
    check(AGX, replace(options, compatible=("version",), dla_core=0))


def test_a_timing_cache_is_a_file(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="is a folder, not a file"):
        check(AGX, TensorRTOptions(timing_cache=tmp_path))


def test_the_guard_is_an_fp16_engine_and_guards_int8(tmp_path: Path) -> None:
    fp32 = write_engine(classifier(), contract(), tmp_path)
    with pytest.raises(InputError, match=r"against FP16, and .* is fp16"):
        check(AGX, TensorRTOptions(guard=fp32.path))
    with pytest.raises(InputError, match=r"m\.engine is fp32: --guard takes the FP16 engine"):
        check(AGX, TensorRTOptions(guard=fp32.path), "int8")
    with pytest.raises(InputError, match="cannot be read"):
        check(AGX, TensorRTOptions(guard=tmp_path / "missing.engine"), "int8")
    fp16 = write_engine(classifier(), contract(), tmp_path, precision="fp16")
    check(AGX, TensorRTOptions(guard=fp16.path), "int8")


def test_words_of_compatibility_are_read_and_typos_refused() -> None:
    assert compatible_from_text("") == ()
    assert compatible_from_text("version, hardware") == ("version", "hardware")
    with pytest.raises(InputError, match="'versoin' is unknown"):
        compatible_from_text("versoin")
    with pytest.raises(InputError, match="hardware includes same-sm"):
        compatible_from_text("hardware,same-sm")
