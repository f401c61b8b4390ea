"""Engines that take FP16 or INT8 pictures.

The GPU is the CPU (tests/doubles): control flow, never hardware evidence.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from tests.doubles.cuda_machine import CudaMachine
from tests.doubles.engines import open_double, write_engine, write_engine_of
from tests.unit.toolkit.onnx_graphs import classifier, contract
from tests.unit.toolkit.runtime.cuda.cuda_parts import RECIPE, by_onnxruntime, frame, needs_compiler
from toolkit.errors import ModelError
from toolkit.frame_input import input_from_bgr
from toolkit.onnx_model.file import write_onnx


def retyped(model: onnx.ModelProto, kind: int, entry: onnx.NodeProto) -> onnx.ModelProto:
    """`model` behind `entry`, which turns an input of `kind` into the float "image_float"."""
    model.graph.input[0].type.tensor_type.elem_type = kind
    model.graph.node[0].input[0] = "image_float"
    model.graph.node.insert(0, entry)
    return model


@needs_compiler
@pytest.mark.parametrize("source", ["batch", "frame"])
def test_a_half_precision_input_gets_rounded_floats(
    tmp_path: Path, machine: CudaMachine, source: str
) -> None:
    entry = helper.make_node("Cast", ["image"], ["image_float"], "entry", to=TensorProto.FLOAT)
    model = retyped(classifier(), TensorProto.FLOAT16, entry)
    made = contract(preprocess=RECIPE, input_type="float16")
    engine = write_engine(model, made, tmp_path)
    batch = input_from_bgr(RECIPE, frame())[None]
    with open_double(engine, machine) as session:
        logits = session.infer(batch) if source == "batch" else session.infer_frame(frame())
        assert logits.dtype == np.float32
    rounded = batch.astype(np.float16).astype(np.float32)
    write_onnx(classifier(), tmp_path / "m.onnx", contract())
    np.testing.assert_allclose(logits, by_onnxruntime(engine, rounded), atol=1e-6)


@needs_compiler
@pytest.mark.parametrize("source", ["batch", "frame"])
def test_an_int8_input_gets_steps(tmp_path: Path, machine: CudaMachine, source: str) -> None:
    step = np.float32(2.0 / 127)
    entry = helper.make_node("DequantizeLinear", ["image", "step"], ["image_float"], "entry")
    model = retyped(classifier(), TensorProto.INT8, entry)
    model.graph.initializer.append(numpy_helper.from_array(np.array(step), "step"))
    write_onnx(classifier(), tmp_path / "m.onnx", contract())
    engine = write_engine_of(model, contract(preprocess=RECIPE), tmp_path)
    batch = input_from_bgr(RECIPE, frame())[None]
    with open_double(engine, machine, input_step=float(step)) as session:
        logits = session.infer(batch) if source == "batch" else session.infer_frame(frame())
    rounded = (np.clip(np.rint(batch / step), -128, 127) * step).astype(np.float32)
    np.testing.assert_allclose(logits, by_onnxruntime(engine, rounded), atol=1e-6)


def test_an_int8_input_without_its_step_is_refused(tmp_path: Path, machine: CudaMachine) -> None:
    entry = helper.make_node("DequantizeLinear", ["image", "step"], ["image_float"], "entry")
    model = retyped(classifier(), TensorProto.INT8, entry)
    model.graph.initializer.append(numpy_helper.from_array(np.array(0.1, np.float32), "step"))
    engine = write_engine_of(model, contract(), tmp_path)
    with (
        pytest.raises(ModelError, match="takes INT8 pictures, and nothing says"),
        open_double(engine, machine),
    ):
        pass
    assert not machine.allocations
