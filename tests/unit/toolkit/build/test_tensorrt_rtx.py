"""Real builds, without a GPU; small graphs, so each takes a fraction of a second."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from onnx import numpy_helper

from calibration.precision import fp16_model
from tests.unit.toolkit.onnx_graphs import (
    classifier,
    contract,
    half_classifier,
    quantized_classifier,
)
from toolkit.artifacts import OnnxModel
from toolkit.build import build
from toolkit.errors import BuildError, InputError
from toolkit.onnx_model.file import write_onnx
from toolkit.progress import Progress
from toolkit.tensorrt_log import process_logger

trt = pytest.importorskip("tensorrt_rtx", reason="needs pip install 'edgekit[rtx]'")


def float_model(folder: Path) -> OnnxModel:
    return write_onnx(classifier(), folder / "m.onnx", contract())


def half_model(folder: Path) -> OnnxModel:
    return write_onnx(half_classifier(), folder / "h.onnx", contract(precision="fp16"))


def int8_model(folder: Path) -> OnnxModel:
    made = contract(precision="int8", scheme="tensorrt-rtx")
    return write_onnx(quantized_classifier(), folder / "q.onnx", made)


@pytest.mark.parametrize("sm", [80, 86, 89, 120, 121])
def test_every_sm_since_ampere_is_built_in_int8(tmp_path: Path, sm: int) -> None:
    engine = build(int8_model(tmp_path).path, target=f"sm{sm}")
    assert engine.manifest.sms == (sm,)
    assert engine.manifest.int8_convs == 2
    assert engine.manifest.built_on == "no GPU (ahead of time)"


def test_every_compute_capability_of_the_bindings_is_known_to_the_targets() -> None:
    from targets.support import RTX_SMS

    named = {name for name in dir(trt.ComputeCapability) if name.startswith("SM")}
    assert named == {f"SM{sm}" for sm in RTX_SMS}


def test_several_gpus_share_one_engine(tmp_path: Path) -> None:
    engine = build(int8_model(tmp_path).path, target="rtx-3090,rtx-4090,sm120")
    assert engine.manifest.sms == (86, 89, 120)
    assert engine.path.name == "q.rtx-3090+rtx-4090+sm120.engine"


def test_turing_is_built_in_fp16_on_its_own(tmp_path: Path) -> None:
    model = half_model(tmp_path)
    assert build(model.path, target="sm75").manifest.sms == (75,)
    with pytest.raises(BuildError, match=r"SM 7\.5 \(Turing\) to be built on their own"):
        build(model.path, target="sm75,sm89")


def test_turing_in_fp32_is_refused_before_the_builder_is_asked(tmp_path: Path) -> None:
    with pytest.raises(BuildError, match="at fp32, which builds on the device"):
        build(float_model(tmp_path).path, target="t4")


def test_a_cpu_and_a_gpu_cannot_share_an_engine(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="cannot share one engine"):
        build(float_model(tmp_path).path, target="rtx-4090,cpu")


def test_an_engine_takes_one_picture_unless_told_otherwise(tmp_path: Path) -> None:
    engine = build(float_model(tmp_path).path, target="rtx-4090")
    assert engine.contract.input_shape == (1, 3, 16, 16)
    assert "batch 1:1:1" in engine.manifest.notes


def test_a_range_of_batches_stays_dynamic(tmp_path: Path) -> None:
    engine = build(float_model(tmp_path).path, target="rtx-4090", batch="1:4:8")
    assert engine.contract.input_shape == (0, 3, 16, 16)
    assert "batch 1:4:8" in engine.manifest.notes


def test_a_fixed_batch_cannot_become_another(tmp_path: Path) -> None:
    model = classifier()
    for value in (model.graph.input[0], model.graph.output[0]):
        value.type.tensor_type.shape.dim[0].dim_value = 2
    fixed = write_onnx(model, tmp_path / "f.onnx", contract(input_shape=(2, 3, 16, 16)))
    assert build(fixed.path, target="rtx-4090").contract.input_shape[0] == 2
    with pytest.raises(BuildError, match=r"batches of 2 only, 1:4:8 was asked"):
        build(fixed.path, target="rtx-4090", batch="1:4:8")


def test_a_workspace_limit_is_accepted(tmp_path: Path) -> None:
    assert build(float_model(tmp_path).path, target="rtx-4090", workspace_mib=64).path.exists()


def test_uint8_without_zero_point_is_refused_though_the_parser_only_warns(tmp_path: Path) -> None:
    model = quantized_classifier()
    for tensor in model.graph.initializer:
        if tensor.name in ("image_z", "r1_z"):
            tensor.CopyFrom(numpy_helper.from_array(np.array(0, np.uint8), tensor.name))
    made = contract(precision="int8", scheme="tensorrt")
    write_onnx(model, tmp_path / "u.onnx", made)
    with pytest.raises(BuildError, match="read as int8 and saturate"):
        build(tmp_path / "u.onnx", target="rtx-4090")
    assert [path.name for path in tmp_path.iterdir()] == ["u.onnx"]


def test_a_refusal_carries_the_parsers_own_words_and_the_node(tmp_path: Path) -> None:
    model = quantized_classifier()
    for tensor in model.graph.initializer:
        if tensor.name == "image_z":
            tensor.CopyFrom(numpy_helper.from_array(np.array(3, np.int8), tensor.name))
    write_onnx(model, tmp_path / "z.onnx", contract(precision="int8", scheme="tensorrt"))
    with pytest.raises(
        BuildError, match=r"'image_Q' \(QuantizeLinear\): .*Non-zero zero point is not supported"
    ):
        build(tmp_path / "z.onnx", target="rtx-4090")


def test_int8_that_does_not_reach_the_kernels_is_noted(tmp_path: Path) -> None:
    made = contract(precision="int8", scheme="tensorrt")
    write_onnx(classifier(), tmp_path / "f.onnx", made)  # claims INT8, has no Q/DQ
    manifest = build(tmp_path / "f.onnx", target="rtx-4090").manifest
    assert (manifest.int8_convs, manifest.float_convs) == (0, 2)
    assert "no convolution runs in Int8" in manifest.notes


def test_int8_with_fp16_around_it_stays_int8_and_its_known_warnings_are_not_repeated(
    tmp_path: Path,
) -> None:
    half, _ = fp16_model(quantized_classifier())
    write_onnx(half, tmp_path / "q.onnx", contract(precision="int8", scheme="tensorrt-rtx"))
    manifest = build(tmp_path / "q.onnx", target="rtx-4090").manifest
    assert manifest.int8_convs == 2
    assert not [note for note in manifest.notes if "warning" in note]


def test_a_builder_that_still_lives_does_not_take_the_log_of_the_next_build(tmp_path: Path) -> None:
    alive = trt.Builder(process_logger(trt))
    manifest = build(int8_model(tmp_path).path, target="rtx-4090").manifest
    del alive
    assert manifest.int8_convs == 2
    assert not [note for note in manifest.notes if "logger" in note or "no layer table" in note]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_that_python_handles_stops_the_build_and_gets_its_handler_back(
    tmp_path: Path, number: signal.Signals
) -> None:
    model = int8_model(tmp_path)

    def own(*_: object) -> None:
        raise AssertionError("it would have crossed the builder")

    before = signal.signal(number, own)
    try:
        with pytest.raises(KeyboardInterrupt):
            build(model.path, target="rtx-4090", progress=lambda _: os.kill(os.getpid(), number))
        assert signal.getsignal(number) is own
    finally:
        signal.signal(number, before)
    assert [path.name for path in tmp_path.iterdir()] == ["q.onnx"]


def test_ctrl_c_stops_the_build_and_leaves_nothing(tmp_path: Path) -> None:
    model = int8_model(tmp_path)
    before = signal.getsignal(signal.SIGINT)

    def interrupt(_: Progress) -> None:
        os.kill(os.getpid(), signal.SIGINT)

    with pytest.raises(KeyboardInterrupt):
        build(model.path, target="rtx-4090", progress=interrupt)
    assert [path.name for path in tmp_path.iterdir()] == ["q.onnx"]
    assert signal.getsignal(signal.SIGINT) is before


@pytest.mark.parametrize("target", ["rtx-4090", "rtx-3090,rtx-4090,sm120"])
@pytest.mark.parametrize("make", [float_model, half_model, int8_model])
def test_equal_models_give_equal_bytes_for_one_gpu_and_for_several(
    tmp_path: Path, target: str, make: Callable[[Path], OnnxModel]
) -> None:
    model = make(tmp_path)
    built = [
        build(model.path, target=target, out=tmp_path / f"{turn}.engine").manifest
        for turn in range(3)
    ]
    assert all(each.reproducible for each in built)
    assert len({each.engine_digest for each in built}) == 1


def test_an_int8_engine_built_ahead_of_time_says_that_it_was_not_timed(tmp_path: Path) -> None:
    notes = build(int8_model(tmp_path).path, target="rtx-4090").manifest.notes
    assert "INT8 was not timed against FP16: no GPU (ahead of time)" in notes
    notes = build(half_model(tmp_path).path, target="rtx-4090").manifest.notes
    assert not [note for note in notes if "timed" in note]
