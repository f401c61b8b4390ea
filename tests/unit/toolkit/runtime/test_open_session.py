from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import onnxruntime
import pytest

from tests.unit.toolkit.onnx_graphs import (
    classifier,
    contract,
    half_classifier,
    quantized_classifier,
)
from toolkit.artifacts import Manifest, digest_of_file, write_manifest
from toolkit.build import build
from toolkit.errors import ContractError, ForeignEngineError, InputError, ModelError
from toolkit.onnx_model.file import write_onnx
from toolkit.runtime import open_session
from toolkit.runtime.onnxruntime import OrtSession, available_cpus

BATCH = np.random.default_rng(0).standard_normal((4, 3, 16, 16)).astype(np.float32)


def int8_model(folder: Path, activations: str) -> Path:
    scheme = "tensorrt" if activations == "int8" else "onnxruntime-x86"
    made = contract(precision="int8", scheme=scheme)
    return write_onnx(quantized_classifier(activations=activations), folder / "q.onnx", made).path


def gpu_engine(folder: Path) -> Path:
    path = folder / "e.engine"
    path.write_bytes(b"not opened in this test")
    manifest = Manifest(
        engine_digest=digest_of_file(path),
        onnx_digest="0" * 64,
        target="rtx-4090",
        backend="tensorrt_rtx",
        precision="int8",
        contract=contract().to_dict(),
        built_with="tensorrt_rtx 1.7.1.116",
        built_on="no GPU (ahead of time)",
        tool_version="0",
        sms=(89,),
    )
    write_manifest(path, manifest)
    return path


def unoptimised(path: Path) -> np.ndarray:
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.log_severity_level = 4
    session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    return np.asarray(session.run(None, {"image": BATCH})[0])


def test_a_tensorrt_model_is_evaluated_in_float_and_says_so(tmp_path: Path) -> None:
    with open_session(int8_model(tmp_path, "int8")) as session:
        assert session.backend == "onnxruntime-float"
        assert session.note == "float evaluation, not speed"


@pytest.mark.parametrize("activations", ["int8", "uint8"])
def test_float_evaluation_equals_the_graph_without_any_optimisation(
    tmp_path: Path, activations: str
) -> None:
    path = int8_model(tmp_path, activations)
    with open_session(path, backend="onnxruntime-float") as session:
        assert session.infer(BATCH) == pytest.approx(unoptimised(path), abs=1e-5)


def test_an_onnxruntime_model_may_run_in_integer_kernels(tmp_path: Path) -> None:
    with open_session(int8_model(tmp_path, "uint8")) as session:
        assert (session.backend, session.note) == ("onnxruntime", "")


def test_a_float_model_has_nothing_to_note(tmp_path: Path) -> None:
    path = write_onnx(classifier(), tmp_path / "m.onnx", contract()).path
    for backend in ("onnxruntime", "onnxruntime-float"):
        with open_session(path, backend=backend) as session:
            assert session.note == ""


def test_a_model_with_half_inputs_takes_float32_batches(tmp_path: Path) -> None:
    model = half_classifier()
    del model.graph.node[0], model.graph.node[-1]
    model.graph.node[0].input[0], model.graph.node[-1].output[0] = "image", "logits"
    for value in (model.graph.input[0], model.graph.output[0]):
        value.type.tensor_type.elem_type = 10  # FLOAT16
    made = contract(precision="fp16", input_type="float16")
    path = write_onnx(model, tmp_path / "h.onnx", made).path
    with open_session(path) as session:
        logits = session.infer(BATCH)
    assert logits.dtype == np.float32
    whole = write_onnx(classifier(), tmp_path / "m.onnx", contract()).path
    with open_session(whole) as session:
        assert logits == pytest.approx(session.infer(BATCH), abs=0.05)


def test_threads_zero_means_every_cpu_this_process_may_use(tmp_path: Path) -> None:
    path = write_onnx(classifier(), tmp_path / "m.onnx", contract()).path
    with open_session(path) as session:
        assert isinstance(session, OrtSession)
        assert session.threads == available_cpus() <= (os.cpu_count() or 1)
    with open_session(path, threads=2) as session:
        assert isinstance(session, OrtSession)
        assert session.threads == 2


def test_logits_do_not_depend_on_threads_or_spinning(tmp_path: Path) -> None:
    path = int8_model(tmp_path, "uint8")
    answers = []
    for threads, spin in ((1, True), (2, True), (2, False)):
        with open_session(path, threads=threads, spin=spin) as session:
            answers.append(session.infer(BATCH).tolist())
    assert answers[0] == answers[1] == answers[2]


def test_a_closed_session_says_so(tmp_path: Path) -> None:
    path = write_onnx(classifier(), tmp_path / "m.onnx", contract()).path
    with open_session(path) as session:
        pass
    with pytest.raises(InputError, match=r"session of m\.onnx is closed"):
        session.infer(BATCH)


def test_an_unknown_backend_lists_the_known_ones(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="'tensorflow': it is auto or one of onnxruntime"):
        open_session(tmp_path / "m.onnx", backend="tensorflow")


def test_negative_threads_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="-1 threads"):
        open_session(tmp_path / "m.onnx", threads=-1)


def test_a_missing_file_is_a_model_error(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="cannot be read"):
        open_session(tmp_path / "m.onnx")


def test_a_model_without_contract_is_not_run(tmp_path: Path) -> None:
    (tmp_path / "m.onnx").write_bytes(classifier().SerializeToString())
    with pytest.raises(ContractError, match="no deployment contract"):
        open_session(tmp_path / "m.onnx")


def test_a_graph_that_the_runtime_refuses_is_a_model_error_in_its_words(tmp_path: Path) -> None:
    model = classifier()
    model.graph.initializer[0].raw_data += b"\0\0\0\0"  # the checker lets extra bytes pass
    try:
        path = write_onnx(model, tmp_path / "m.onnx", contract()).path
    except ModelError:
        pytest.skip("this version of onnx finds it first")
    with pytest.raises(ModelError, match=r"does not run .*m\.onnx: .*size"):
        open_session(path)


def test_a_gpu_engine_is_refused_with_what_can_be_done_here(tmp_path: Path) -> None:
    path = gpu_engine(tmp_path)
    with pytest.raises(ForeignEngineError, match=r"rtx-4090 \(SM 8\.9\)") as caught:
        open_session(path)
    assert caught.value.next_command == "edgekit score MODEL.onnx --images DIR"


def test_a_gpu_engine_names_the_model_beside_it(tmp_path: Path) -> None:
    pytest.importorskip("tensorrt_rtx", reason="needs pip install 'edgekit[rtx]'")
    model = write_onnx(classifier(), tmp_path / "m.onnx", contract())
    engine = build(model.path, target="rtx-4090")
    with pytest.raises(ForeignEngineError) as caught:
        open_session(engine.path)
    assert caught.value.next_command == f"edgekit score {model.path} --images DIR"


def test_the_fake_runs_any_engine_anywhere(tmp_path: Path) -> None:
    with open_session(gpu_engine(tmp_path), backend="fake") as session:
        assert session.infer(BATCH).shape == (4, 4)
        assert session.note


def test_an_engine_cannot_be_evaluated_in_float(tmp_path: Path) -> None:
    engine = build(int8_model(tmp_path, "uint8"), target="cpu")
    with pytest.raises(InputError, match="integer kernels are fixed") as caught:
        open_session(engine.path, backend="onnxruntime-float")
    assert str(tmp_path / "q.onnx") in caught.value.next_command
