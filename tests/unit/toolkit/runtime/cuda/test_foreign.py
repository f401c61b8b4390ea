"""Engines built elsewhere, and what is no engine for here.

The GPU is the CPU (tests/doubles): control flow, never hardware evidence.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from onnx import TensorProto, helper

from tests.doubles.cuda_machine import CudaMachine
from tests.doubles.engines import open_double, write_engine, write_engine_of
from tests.doubles.tensorrt_runtime import make_trt
from tests.unit.toolkit.onnx_graphs import classifier, contract
from tests.unit.toolkit.runtime.cuda.cuda_parts import RECIPE
from toolkit.artifacts import Engine
from toolkit.errors import ForeignEngineError, InputError, ModelError
from toolkit.onnx_model.file import open_model
from toolkit.runtime.cuda.session import open_cuda_session


def test_an_engine_for_another_architecture_is_refused_with_both_sides(
    engine: Engine,
) -> None:
    machine = CudaMachine(sm=89, gpu="NVIDIA GeForce RTX 4090")
    with (
        pytest.raises(
            ForeignEngineError,
            match=r"m\.engine was built for jetson-orin-nano-8gb \(SM 8\.7\) with "
            r"tensorrt 10\.3\.0; this is NVIDIA GeForce RTX 4090 \(SM 8\.9, tensorrt 10\.3\.0\)",
        ) as caught,
        open_double(engine, machine),
    ):
        pass
    assert str(engine.path.with_name("m.onnx")) in caught.value.next_command
    assert machine.retained == 0


def test_bytes_that_do_not_load_are_refused_with_tensorrts_words(
    tmp_path: Path, machine: CudaMachine
) -> None:
    engine = write_engine(classifier(), contract(), tmp_path, content=b"another version's engine")
    with (
        pytest.raises(ForeignEngineError, match="Serialization assertion magicTag failed"),
        open_double(engine, machine),
    ):
        pass
    assert machine.retained == 0
    assert not machine.allocations
    assert machine.stack == []


def test_an_ampere_plus_engine_runs_on_newer_gpus_and_says_where_it_was_built(
    tmp_path: Path,
) -> None:
    engine = write_engine(classifier(), contract(), tmp_path, flags=("AMPERE_PLUS",))
    machine = CudaMachine(sm=89, gpu="NVIDIA GeForce RTX 4090")
    with open_double(engine, machine) as session:
        assert session.note == "built on NVIDIA Test GPU: latency not built here"


def test_an_engine_built_on_another_gpu_of_the_same_architecture_is_noted(
    tmp_path: Path, machine: CudaMachine
) -> None:
    engine = write_engine(classifier(), contract(), tmp_path, built_on="Jetson AGX Orin")
    with open_double(engine, machine) as session:
        assert session.note == "built on Jetson AGX Orin: latency not built here"


def test_a_contract_that_does_not_fit_the_engine_is_refused(
    tmp_path: Path, machine: CudaMachine
) -> None:
    made = contract(input_shape=(0, 3, 32, 32), preprocess=replace(RECIPE, height=32, width=32))
    engine = replace(write_engine(classifier(), contract(), tmp_path), contract=made)
    with (
        pytest.raises(ModelError, match=r"takes pictures of \(3, 16, 16\), but its contract says"),
        open_double(engine, machine),
    ):
        pass
    assert machine.retained == 0
    assert not machine.allocations


@pytest.mark.parametrize(
    ("outputs", "words"), [(0, "it has 1 inputs and 2 outputs"), (1, "tensor 'logits' is DOUBLE")]
)
def test_an_engine_that_is_no_classifier_is_refused(
    tmp_path: Path, machine: CudaMachine, outputs: int, words: str
) -> None:
    model = classifier()
    if outputs:
        model.graph.node[-1].output[0] = "small"
        model.graph.node.append(
            helper.make_node("Cast", ["small"], ["logits"], "wide", to=TensorProto.DOUBLE)
        )
        model.graph.output[0].type.tensor_type.elem_type = TensorProto.DOUBLE
    else:
        second = helper.make_tensor_value_info("f", TensorProto.FLOAT, ["batch", 16])
        model.graph.output.append(second)
    engine = write_engine_of(model, contract(), tmp_path)
    with pytest.raises(ModelError, match=words), open_double(engine, machine):
        pass
    assert machine.retained == 0
    assert not machine.allocations


def test_a_model_is_no_engine(engine: Engine) -> None:
    with pytest.raises(InputError, match="is a model: tensorrt runs engines") as caught:
        open_cuda_session(
            open_model(engine.path.with_name("m.onnx")),
            trt=make_trt(CudaMachine()),
            driver=None,
            spin=True,
        )
    assert caught.value.next_command.startswith("edgekit build ")
