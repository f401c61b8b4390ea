"""INT8 against FP16 on a real GPU, for the TensorRT that builds there."""

from __future__ import annotations

from pathlib import Path

import pytest

from targets import detect
from tests.hardware.gpu import open_gpu
from tests.unit.toolkit.onnx_graphs import contract, half_classifier, quantized_classifier
from toolkit.build import build
from toolkit.build.guard import DOES_NOT_BEAT
from toolkit.build.request import TensorRTOptions
from toolkit.onnx_model.file import write_onnx

pytestmark = pytest.mark.gpu


def test_an_int8_engine_is_timed_against_the_fp16_engine_beside_it(tmp_path: Path) -> None:
    open_gpu().bindings("tensorrt")
    target = detect()
    if target.backend != "tensorrt":
        pytest.skip(f"{target.name} takes {target.backend}")
    half = write_onnx(half_classifier(), tmp_path / "m.fp16.onnx", contract(precision="fp16"))
    made = contract(precision="int8", scheme="tensorrt")
    int8 = write_onnx(quantized_classifier(), tmp_path / "m.int8.onnx", made)
    fp16 = build(half.path, target=target.id)
    for options in (TensorRTOptions(), TensorRTOptions(guard=fp16.path)):
        notes = build(int8.path, target=target.id, options=options).manifest.notes
        (verdict,) = [note for note in notes if "times as fast" in note]
        assert verdict.startswith((f"INT8 beats {fp16.path.name}", DOES_NOT_BEAT))
