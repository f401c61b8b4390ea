"""Build, run and profile on a real GPU, with every TensorRT that is installed."""

from __future__ import annotations

import statistics
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from targets import detect
from tests.hardware.gpu import Gpu, open_gpu
from tests.real.imagenet import WEIGHTS
from tests.unit.toolkit.onnx_graphs import classifier, contract, quantized_classifier
from toolkit.artifacts import Engine
from toolkit.build import build
from toolkit.camera import open_camera
from toolkit.errors import InputError
from toolkit.frame_input import input_from_bgr
from toolkit.golden import golden_for, verify
from toolkit.import_model import import_model
from toolkit.live import run_live
from toolkit.onnx_model.file import open_model, write_onnx
from toolkit.preprocess import Preprocess
from toolkit.runtime import open_session
from toolkit.runtime.cuda.session import CudaSession

pytestmark = pytest.mark.gpu

RECIPE = Preprocess(16, 16, resize_size=20, mean=(0.5, 0.5, 0.5), std=(0.25, 0.25, 0.25))
MOBILENET = WEIGHTS / "mobilenet_v2.pth"


@pytest.fixture(params=["tensorrt", "tensorrt_rtx"])
def gpu(request: pytest.FixtureRequest) -> Gpu:
    """The GPU, if the catalog builds for it with this backend, which is installed."""
    found = open_gpu()
    found.bindings(request.param)
    target = detect()
    if target.backend != request.param:
        pytest.skip(f"{target.name} takes {target.backend}")
    return found


@pytest.fixture
def engine(gpu: Gpu, tmp_path: Path) -> Engine:
    model = write_onnx(classifier(), tmp_path / "m.onnx", contract(preprocess=RECIPE))
    return build(model.path, target=detect().id, batch="1:2:4")


@pytest.fixture
def session(engine: Engine) -> Iterator[CudaSession]:
    with open_session(engine.path) as opened:
        assert isinstance(opened, CudaSession)
        yield opened


def pictures(count: int, seed: int = 0) -> NDArray[np.float32]:
    rng = np.random.default_rng(seed)
    return rng.standard_normal((count, 3, 16, 16)).astype(np.float32)


def test_batches_get_the_logits_of_their_graph(session: CudaSession, tmp_path: Path) -> None:
    with open_session(tmp_path / "m.onnx", backend="onnxruntime") as reference:
        for count in (1, 1, 1, 4, 4, 2, 1):
            batch = pictures(count, seed=count)
            np.testing.assert_allclose(session.infer(batch), reference.infer(batch), atol=2e-3)
    print("note:", session.note)


def test_a_frame_prepared_on_the_gpu_gets_the_logits_of_one_prepared_on_the_cpu(
    session: CudaSession,
) -> None:
    for size in ((1080, 1920), (333, 501)):
        frame = np.random.default_rng(0).integers(0, 256, (*size, 3), dtype=np.uint8)
        batch = input_from_bgr(RECIPE, frame)[None]
        np.testing.assert_allclose(session.infer_frame(frame), session.infer(batch), atol=1e-4)
    assert list(session.last_stage_ms) == ["h2d", "compute", "d2h"]


def test_an_int8_engine_matches_its_own_golden_reference(gpu: Gpu, tmp_path: Path) -> None:
    target = detect()
    scheme = {"tensorrt": "tensorrt", "tensorrt_rtx": "tensorrt-rtx"}[target.backend]
    made = contract(precision="int8", scheme=scheme)
    model = write_onnx(quantized_classifier(), tmp_path / "q.onnx", made)
    built = build(model.path, target=target.id)
    with open_session(built.path) as opened:
        report = verify(opened, golden_for(model))
    print(f"{report.sqnr_db:.1f} dB, {built.manifest.int8_convs} INT8 convolutions")
    assert report.passed


def test_graphs_are_captured_and_change_no_answer(session: CudaSession) -> None:
    batch = pictures(1)
    answers = [session.infer(batch) for _ in range(5)]
    assert "no CUDA graph" not in session.note
    for answer in answers[1:]:
        np.testing.assert_allclose(answer, answers[0], atol=1e-6)


def test_another_thread_is_refused_and_can_open_its_own(
    session: CudaSession, engine: Engine
) -> None:
    refused: list[str] = []
    answers: list[NDArray[np.float32]] = []

    def elsewhere() -> None:
        try:
            session.infer(pictures(1))
        except InputError as error:
            refused.append(error.message)
        with open_session(engine.path) as own:
            answers.append(own.infer(pictures(1)))

    thread = threading.Thread(target=elsewhere)
    thread.start()
    thread.join()
    assert "belongs to the thread that opened it" in refused[0]
    np.testing.assert_allclose(answers[0], session.infer(pictures(1)), atol=1e-5)


def test_opening_and_closing_leaves_no_memory_behind(gpu: Gpu, engine: Engine) -> None:
    context = gpu.driver.Device(0).retain_primary_context()
    context.push()
    free = []
    for _ in range(5):
        with open_session(engine.path) as opened:
            opened.infer(pictures(4))
        free.append(gpu.driver.mem_get_info()[0])
    gpu.driver.Context.pop()
    context.detach()
    gpu.libcuda.pop_context()
    assert free[-1] >= free[1] - (1 << 20)


@pytest.mark.skipif(not MOBILENET.exists(), reason=f"no {MOBILENET}")
def test_the_host_costs_at_most_a_sixth_of_a_millisecond_a_frame(gpu: Gpu, tmp_path: Path) -> None:
    source = f"torchvision:mobilenet_v2@{MOBILENET}"
    model = import_model(source, out=tmp_path / "mobilenet.onnx", precision="fp16")
    built = build(model.path, target=detect().id)
    batch = np.zeros((1, *model.contract.input_shape[1:]), np.float32)
    overhead, spans = [], []
    with open_session(built.path) as opened:
        assert isinstance(opened, CudaSession)
        for _ in range(300):
            start = time.perf_counter()
            opened.infer(batch)
            wall_ms = (time.perf_counter() - start) * 1e3
            spans.append(sum(opened.last_stage_ms.values()))
            overhead.append(wall_ms - spans[-1])
    print(f"GPU span {statistics.median(spans):.3f} ms, host {statistics.median(overhead):.3f} ms")
    assert statistics.median(overhead[50:]) <= 0.15


def test_the_live_loop_runs_on_frames_of_a_synthetic_camera(
    session: CudaSession, tmp_path: Path
) -> None:
    with open_camera("synthetic://640x480") as camera:
        summary = run_live(session, camera, frames=100, policy="queue", warmup=5)
    assert summary.frames == 100
    assert open_model(tmp_path / "m.onnx").contract.labels
    print(summary.lines())
