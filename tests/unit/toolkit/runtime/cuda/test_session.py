"""The session on a GPU that is the CPU (tests/doubles): control flow, never hardware evidence."""

from __future__ import annotations

import threading
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from tests.doubles.cuda_machine import CudaMachine, FakeLibCuda, make_driver
from tests.doubles.engines import open_double, write_engine, write_engine_of
from tests.doubles.host_kernel import HOST_COMPILER
from tests.doubles.tensorrt_runtime import make_trt
from tests.unit.toolkit.onnx_graphs import classifier, contract
from toolkit.artifacts import Engine
from toolkit.errors import ForeignEngineError, InputError, MachineError, ModelError
from toolkit.frame_input import input_from_bgr
from toolkit.onnx_model.file import open_model, write_onnx
from toolkit.preprocess import Preprocess
from toolkit.runtime import open_session
from toolkit.runtime.cuda.libcuda import LibCuda
from toolkit.runtime.cuda.session import CudaSession, open_cuda_session

needs_compiler = pytest.mark.skipif(HOST_COMPILER is None, reason="no g++ to build the kernel with")

RECIPE = Preprocess(16, 16, resize_size=20, mean=(0.5, 0.5, 0.5), std=(0.25, 0.25, 0.25))


@pytest.fixture
def machine() -> CudaMachine:
    return CudaMachine()


@pytest.fixture
def engine(tmp_path: Path) -> Engine:
    return write_engine(classifier(), contract(preprocess=RECIPE), tmp_path)


def pictures(count: int, seed: int = 0) -> NDArray[np.float32]:
    rng = np.random.default_rng(seed)
    return rng.standard_normal((count, 3, 16, 16)).astype(np.float32)


def frame(height: int = 90, width: int = 123, seed: int = 0) -> NDArray[np.uint8]:
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)


def unchecked(engine: Engine, machine: CudaMachine) -> CudaSession:
    """A session whose machine other sessions use too."""
    return CudaSession(
        engine,
        trt=make_trt(machine),
        driver=make_driver(machine),
        libcuda=LibCuda(FakeLibCuda(machine)),
    )


def by_onnxruntime(engine: Engine, batch: NDArray[np.float32]) -> NDArray[np.float32]:
    with open_session(engine.path.with_name("m.onnx"), threads=1) as session:
        return session.infer(batch)


def static(model: onnx.ModelProto, count: int) -> onnx.ModelProto:
    for value in (*model.graph.input, *model.graph.output):
        value.type.tensor_type.shape.dim[0].dim_value = count
    return model


@pytest.mark.parametrize("integrated", [False, True], ids=["discrete", "jetson"])
@pytest.mark.parametrize("spin", [False, True])
def test_a_batch_gets_the_logits_of_its_graph(engine: Engine, integrated: bool, spin: bool) -> None:
    machine = CudaMachine(integrated=integrated)
    with open_double(engine, machine, spin=spin) as session:
        for count in (1, 4, 2, 2, 2):
            batch = pictures(count, seed=count)
            expected = by_onnxruntime(engine, batch)
            np.testing.assert_allclose(session.infer(batch), expected, atol=1e-6)
        assert session.note == ""


@needs_compiler
@pytest.mark.parametrize("integrated", [False, True], ids=["discrete", "jetson"])
def test_a_frame_gets_the_logits_of_its_picture(engine: Engine, integrated: bool) -> None:
    machine = CudaMachine(integrated=integrated)
    with open_double(engine, machine) as session:
        for size in ((90, 123), (480, 640), (90, 123), (17, 16)):
            image = frame(*size)
            logits = session.infer_frame(image)
            expected = by_onnxruntime(engine, input_from_bgr(RECIPE, image)[None])
            np.testing.assert_allclose(logits, expected, atol=1e-6)
            assert logits.shape == (1, 4)
        assert session.note == ""


@needs_compiler
def test_a_large_frame_is_copied_in_bands_and_only_its_window(
    engine: Engine, machine: CudaMachine
) -> None:
    image = frame(1080, 1920)
    with open_double(engine, machine) as session:
        session.infer_frame(image)
        machine.calls.clear()
        session.infer_frame(image)
        assert machine.calls.count("cuMemcpyHtoDAsync") == 6  # 2.9 MB of 6.2
        assert machine.calls.count("cuLaunchKernel") == 1


@needs_compiler
def test_a_frame_that_is_a_view_is_taken_as_it_is(engine: Engine, machine: CudaMachine) -> None:
    image = frame(100, 140)
    views = [image[10:80, 20:120], image[::-1], image[:, ::2], np.asfortranarray(image)]
    with open_double(engine, machine) as session:
        for view in views:
            expected = by_onnxruntime(
                engine, input_from_bgr(RECIPE, np.ascontiguousarray(view))[None]
            )
            np.testing.assert_allclose(session.infer_frame(view), expected, atol=1e-6)


@needs_compiler
def test_a_jetson_copies_no_frame_and_no_logits(engine: Engine) -> None:
    machine = CudaMachine(integrated=True)
    with open_double(engine, machine) as session:
        session.infer_frame(frame())
        machine.calls.clear()
        session.infer_frame(frame())
        assert not [call for call in machine.calls if call.startswith("cuMemcpy")]


@needs_compiler
def test_stages_are_timed_by_events(engine: Engine, machine: CudaMachine) -> None:
    with open_double(engine, machine) as session:
        assert session.last_stage_ms == {}
        session.infer(pictures(1))
        assert list(session.last_stage_ms) == ["h2d", "compute", "d2h"]
        session.infer_frame(frame())
        assert list(session.last_stage_ms) == ["h2d", "preprocess", "compute", "d2h"]
        assert all(value >= 0.0 for value in session.last_stage_ms.values())


@pytest.mark.parametrize(
    ("recipe", "reason"),
    [
        (replace(RECIPE, interpolation="nearest"), "nearest has no kernel"),
        (replace(RECIPE, resize="none"), "the crop is larger than a 12 x 10 frame"),
    ],
)
def test_what_the_kernel_cannot_do_is_done_on_the_cpu_and_noted(
    tmp_path: Path, machine: CudaMachine, recipe: Preprocess, reason: str
) -> None:
    engine = write_engine(classifier(), contract(preprocess=recipe), tmp_path)
    image = frame(10, 12)
    with open_double(engine, machine) as session:
        logits = session.infer_frame(image)
        assert session.note == f"frames are prepared on the CPU: {reason}"
    expected = by_onnxruntime(engine, input_from_bgr(recipe, image)[None])
    np.testing.assert_allclose(logits, expected, atol=1e-6)


def test_a_kernel_that_the_driver_refuses_is_done_without_and_asked_for_once(
    engine: Engine, machine: CudaMachine
) -> None:
    machine.broken["cuModuleLoadDataEx"] = "the provided PTX was compiled with an unsupported tool"
    with open_double(engine, machine) as session:
        for _ in range(3):
            session.infer_frame(frame())
        assert "the kernel does not load (cuModuleLoadDataEx failed: the provided" in session.note
    assert machine.calls.count("cuModuleLoadDataEx") == 1


def test_logits_belong_to_the_caller(engine: Engine, machine: CudaMachine) -> None:
    with open_double(engine, machine) as session:
        first = session.infer(pictures(1))
        kept = first.copy()
        session.infer(pictures(1, seed=1))
        np.testing.assert_array_equal(first, kept)


@pytest.mark.parametrize(
    "batch",
    [
        np.zeros((1, 16, 16, 3), np.float32),
        np.zeros((1, 3, 16, 16), np.float64),
        np.zeros((0, 3, 16, 16), np.float32),
        [[0.0]],
    ],
    ids=str,
)
def test_a_wrong_batch_is_refused_before_cuda_sees_it(
    engine: Engine, machine: CudaMachine, batch: Any
) -> None:
    with open_double(engine, machine) as session:
        machine.calls.clear()
        with pytest.raises(
            InputError, match=r"m\.engine takes a batch of float32 \(N, 3, 16, 16\)"
        ):
            session.infer(batch)
        assert machine.calls == []


def test_a_batch_outside_the_profile_is_refused_with_its_limits(
    engine: Engine, machine: CudaMachine
) -> None:
    with open_double(engine, machine) as session:
        with pytest.raises(InputError, match=r"m\.engine takes batches of 1 to 4, got 5"):
            session.infer(pictures(5))
        assert session.infer(pictures(4)).shape == (4, 4)


def test_a_frame_for_an_engine_of_larger_batches_is_refused(
    tmp_path: Path, machine: CudaMachine
) -> None:
    made = contract(input_shape=(2, 3, 16, 16))
    engine = write_engine(static(classifier(), 2), made, tmp_path)
    with (
        open_double(engine, machine) as session,
        pytest.raises(InputError, match="takes batches of 2, got 1"),
    ):
        session.infer_frame(frame())


@pytest.mark.parametrize(
    "image",
    [
        np.zeros((4, 4), np.uint8),
        np.zeros((4, 4, 4), np.uint8),
        np.zeros((0, 4, 3), np.uint8),
        np.zeros((4, 4, 3), np.float32),
        None,
    ],
    ids=lambda image: str(getattr(image, "shape", image)),
)
def test_a_wrong_frame_is_refused_before_cuda_sees_it(
    engine: Engine, machine: CudaMachine, image: Any
) -> None:
    with open_double(engine, machine) as session:
        machine.calls.clear()
        with pytest.raises(
            InputError, match=r"takes BGR frames of uint8 \(height, width, 3\), got"
        ):
            session.infer_frame(image)
        assert machine.calls == []


def test_another_thread_is_refused_with_both_names(engine: Engine, machine: CudaMachine) -> None:
    caught: list[BaseException] = []

    def elsewhere() -> None:
        for use in (
            lambda: session.infer(pictures(1)),
            lambda: session.infer_frame(frame()),
            lambda: session.last_stage_ms,
            session.close,
        ):
            try:
                use()
            except InputError as error:
                caught.append(error)

    with open_double(engine, machine) as session:
        thread = threading.Thread(target=elsewhere, name="camera")
        thread.start()
        thread.join()
        session.infer(pictures(1))  # its own thread still can
    assert len(caught) == 4
    assert "opened by thread 'MainThread' and used by thread 'camera'" in str(caught[0])


def test_a_closed_session_says_so_and_closing_twice_is_harmless(
    engine: Engine, machine: CudaMachine
) -> None:
    with open_double(engine, machine) as session:
        pass
    session.close()
    with pytest.raises(InputError, match=r"The session of m\.engine is closed"):
        session.infer(pictures(1))
    assert machine.calls.count("cuDevicePrimaryCtxRetain") == 1


def test_two_sessions_share_a_thread_and_the_primary_context(
    engine: Engine, tmp_path: Path, machine: CudaMachine
) -> None:
    other = write_engine(classifier(seed=1), contract(), tmp_path / "other")
    batch = pictures(1)
    with unchecked(engine, machine) as first:
        with unchecked(other, machine) as second:
            assert machine.retained == 2
            one, two = first.infer(batch), second.infer(batch)
            assert not np.allclose(one, two)
        assert machine.retained == 1
        np.testing.assert_array_equal(first.infer(batch), one)


def test_an_application_context_below_is_left_as_it_was(
    engine: Engine, machine: CudaMachine
) -> None:
    machine.stack.append("the application's")
    with unchecked(engine, machine) as session:
        session.infer(pictures(1))
        assert machine.stack == ["the application's"]
    assert machine.stack == ["the application's"]


def test_a_graph_is_captured_after_one_warm_up_and_replayed(
    engine: Engine, machine: CudaMachine
) -> None:
    batch = pictures(1)
    with open_double(engine, machine) as session:
        answers = [session.infer(batch) for _ in range(4)]
        assert machine.calls.count("execute_async_v3") == 2  # one plain, one captured
        assert machine.calls.count("cuGraphLaunch") == 3
        for answer in answers[1:]:
            np.testing.assert_array_equal(answer, answers[0])


def test_a_graph_sees_new_pictures(engine: Engine, machine: CudaMachine) -> None:
    with open_double(engine, machine) as session:
        for seed in range(4):
            batch = pictures(1, seed)
            np.testing.assert_allclose(
                session.infer(batch), by_onnxruntime(engine, batch), atol=1e-6
            )


def test_another_batch_is_warmed_up_and_captured_anew(engine: Engine, machine: CudaMachine) -> None:
    with open_double(engine, machine) as session:
        for count in (1, 1, 3, 3, 3):
            batch = pictures(count)
            np.testing.assert_allclose(
                session.infer(batch), by_onnxruntime(engine, batch), atol=1e-6
            )
        assert machine.calls.count("cuStreamBeginCapture_v2") == 2
        assert len(machine.graphs) == 1


@pytest.mark.parametrize(
    "call",
    [
        "cuStreamBeginCapture_v2",
        "cuStreamEndCapture",
        "cuGraphInstantiateWithFlags",
        "cuGraphLaunch",
    ],
)
def test_a_refused_graph_is_given_up_with_the_reason_and_nothing_else_changes(
    engine: Engine, machine: CudaMachine, call: str
) -> None:
    machine.broken[call] = "not supported"
    batch = pictures(1)
    with open_double(engine, machine) as session:
        for _ in range(4):
            np.testing.assert_allclose(
                session.infer(batch), by_onnxruntime(engine, batch), atol=1e-6
            )
        assert session.note == f"no CUDA graph ({call}: CUDA_ERROR_NOT_SUPPORTED)"
    assert machine.calls.count("cuStreamBeginCapture_v2") == 1


def test_graphs_can_be_left_out(engine: Engine, machine: CudaMachine) -> None:
    with open_double(engine, machine, graphs=False) as session:
        session.infer(pictures(1))
        session.infer(pictures(1))
        assert session.note == ""
    assert "cuStreamBeginCapture_v2" not in machine.calls


def test_tensorrt_rtx_captures_graphs_itself(engine: Engine, machine: CudaMachine) -> None:
    with open_double(engine, machine, rtx=True) as session:
        session.infer(pictures(1))
        session.infer(pictures(1))
    assert "cuStreamBeginCapture_v2" not in machine.calls
    assert machine.calls.count("graphs WHOLE_GRAPH_CAPTURE") == 2


def test_compiled_kernels_are_kept_beside_the_engine(engine: Engine, machine: CudaMachine) -> None:
    kept = engine.path.with_name("m.engine.runtime-cache")
    with open_double(engine, machine, rtx=True) as session:
        assert session.note == "kernels compiled at first use"
        session.infer(pictures(1))
        assert kept.exists(), "a run that is killed later has its kernels"
    machine.calls.clear()
    with open_double(engine, machine, rtx=True) as session:
        session.infer(pictures(1))
        assert session.note == ""
    assert "compile" not in machine.calls


def test_kernels_of_another_gpu_are_compiled_again(engine: Engine, machine: CudaMachine) -> None:
    kept = engine.path.with_name("m.engine.runtime-cache")
    kept.write_bytes(b"from elsewhere")
    with open_double(engine, machine, rtx=True) as session:
        assert session.note == "m.engine.runtime-cache was made elsewhere: kernels compiled again"
        session.infer(pictures(1))
    assert kept.read_bytes() != b"from elsewhere"


def test_kernels_that_cannot_be_kept_are_a_note_not_a_failure(
    engine: Engine, machine: CudaMachine
) -> None:
    blocked = engine.path.with_name("m.engine.runtime-cache")
    with open_double(engine, machine, rtx=True) as session:
        blocked.mkdir()
        session.infer(pictures(1))
        assert "compiled kernels are not kept" in session.note


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


def test_full_gpu_memory_is_a_machine_error_and_leaks_nothing(engine: Engine) -> None:
    machine = CudaMachine(memory_bytes=20_000)
    with (
        pytest.raises(MachineError, match=r"The memory of NVIDIA Test GPU is full: m\.engine"),
        open_double(engine, machine),
    ):
        pass
    assert machine.retained == 0
    assert not machine.allocations
    assert machine.stack == []


def test_a_machine_without_gpu_is_a_machine_error(engine: Engine, machine: CudaMachine) -> None:
    machine.broken["cuInit"] = "no CUDA-capable device is detected"
    with (
        pytest.raises(MachineError, match="GPU 0 cannot be used: cuInit failed: no CUDA-capable"),
        open_double(engine, machine),
    ):
        pass


def test_an_engine_that_does_not_run_is_reported_in_tensorrts_words(
    engine: Engine, machine: CudaMachine
) -> None:
    machine.broken["enqueue"] = "Cuda Runtime (an illegal memory access was encountered)"
    with (
        pytest.raises(MachineError, match=r"did not run the engine: Cuda Runtime \(an illegal"),
        open_double(engine, machine) as session,
    ):
        session.infer(pictures(1))
    assert machine.retained == 0
    assert not machine.allocations


def test_a_failure_while_closing_does_not_hide_the_first_one(
    engine: Engine, machine: CudaMachine
) -> None:
    with (
        pytest.raises(MachineError, match="cuMemcpyHtoDAsync failed: unspecified launch failure"),
        open_double(engine, machine) as session,
    ):
        machine.broken["cuMemcpyHtoDAsync"] = "unspecified launch failure"
        machine.broken["cuStreamSynchronize"] = "the same, later"
        session.infer(pictures(1))


def test_a_model_is_no_engine(engine: Engine) -> None:
    with pytest.raises(InputError, match="is a model: tensorrt runs engines") as caught:
        open_cuda_session(
            open_model(engine.path.with_name("m.onnx")),
            trt=make_trt(CudaMachine()),
            driver=None,
            spin=True,
        )
    assert caught.value.next_command.startswith("edgekit build ")


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
