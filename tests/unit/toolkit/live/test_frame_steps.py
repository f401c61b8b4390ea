from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import onnx
import pytest
from numpy.typing import NDArray

from tests.doubles.cuda_machine import CudaMachine
from tests.doubles.engines import open_double, write_engine
from tests.doubles.host_kernel import HOST_COMPILER
from tests.unit.toolkit.onnx_graphs import classifier, contract, quantized_classifier
from toolkit.activation_map import ACTIVATION_MAP, add_activation_map
from toolkit.build import build
from toolkit.errors import InputError
from toolkit.frame_input import input_from_bgr
from toolkit.live.frame_steps import MapsFrames, frame_steps
from toolkit.onnx_model.file import write_onnx
from toolkit.runtime import open_session
from toolkit.runtime.fake import FakeSession
from toolkit.runtime.session import GivesMaps

FRAME = np.random.default_rng(0).integers(0, 256, (48, 64, 3), dtype=np.uint8)


@dataclass(frozen=True)
class FrameSession(FakeSession):
    """A session that takes frames; it keeps them."""

    taken: list[NDArray[np.uint8]] = field(default_factory=list)

    def infer_frame(self, frame: NDArray[np.uint8]) -> NDArray[np.float32]:
        self.taken.append(frame)
        return np.array([[1.0, 2.0, 3.0, 4.0]], np.float32)


def test_a_session_of_batches_gets_the_contracts_preprocessing() -> None:
    session = FakeSession(contract())
    prepare, answer = frame_steps(session)
    pixels = prepare(FRAME)
    np.testing.assert_array_equal(pixels, input_from_bgr(session.contract.preprocess, FRAME))
    np.testing.assert_array_equal(answer(pixels).row, session.infer(pixels[None])[0])


def test_a_session_that_takes_frames_gets_them_untouched() -> None:
    session = FrameSession(contract())
    prepare, answer = frame_steps(session)
    assert prepare(FRAME) is FRAME
    assert answer(FRAME).row.tolist() == [1.0, 2.0, 3.0, 4.0]
    assert session.taken[0] is FRAME


def test_a_preprocessing_of_the_callers_own_wins() -> None:
    session = FrameSession(contract())
    prepare, answer = frame_steps(session, lambda frame: np.zeros((3, 16, 16), np.float32))
    answer(prepare(FRAME))
    assert session.taken == []


@pytest.mark.skipif(HOST_COMPILER is None, reason="no g++ to build the kernel with")
def test_both_ways_give_the_same_answer(tmp_path: Path) -> None:
    engine = write_engine(classifier(), contract(), tmp_path)
    with open_double(engine, CudaMachine()) as session:
        answers = []
        for own in (None, lambda frame: input_from_bgr(session.contract.preprocess, frame)):
            prepare, answer = frame_steps(session, own)
            answers.append(answer(prepare(FRAME)).row)
    np.testing.assert_allclose(answers[0], answers[1], atol=1e-6)


@pytest.mark.skipif(HOST_COMPILER is None, reason="no g++ to build the kernel with")
@pytest.mark.parametrize("integrated", [False, True], ids=["discrete", "jetson"])
def test_on_a_gpu_the_frame_goes_in_untouched_and_its_map_comes_back(
    tmp_path: Path, integrated: bool
) -> None:
    engine = write_engine(_mapped(), contract(activation_map=ACTIVATION_MAP), tmp_path)
    machine = CudaMachine(integrated=integrated)
    with (
        open_double(engine, machine) as session,
        open_session(tmp_path / "m.onnx", threads=1) as reference,
    ):
        assert isinstance(session, MapsFrames) and isinstance(reference, GivesMaps)
        prepare, answer = frame_steps(session)
        for seed in range(3):  # the third runs as a CUDA graph
            frame = _frame(seed)
            assert prepare(frame) is frame
            found = answer(frame)
            pixels = input_from_bgr(session.contract.preprocess, frame)[None]
            wanted = reference.infer_with_map(pixels)
            np.testing.assert_allclose(found.row, wanted.logits[0], atol=1e-5)
            assert found.activation_map is not None
            np.testing.assert_allclose(found.activation_map, wanted.maps[0], atol=1e-5)
        assert list(session.last_stage_ms) == ["h2d", "preprocess", "compute", "d2h"]


def test_a_frame_that_the_cpu_prepares_has_its_map_too_and_keeps_it(tmp_path: Path) -> None:
    engine = write_engine(_mapped(), contract(activation_map=ACTIVATION_MAP), tmp_path)
    machine = CudaMachine(broken={"cuModuleLoadDataEx": "unsupported toolchain"})
    with (
        open_double(engine, machine) as session,
        open_session(tmp_path / "m.onnx", threads=1) as reference,
    ):
        assert isinstance(reference, GivesMaps)
        _, answer = frame_steps(session)
        found = [answer(_frame(seed)) for seed in range(2)]
        assert "frames are prepared on the CPU" in session.note
        for seed, each in enumerate(found):  # the first one is no view of what the next one wrote
            pixels = input_from_bgr(session.contract.preprocess, _frame(seed))[None]
            wanted = reference.infer_with_map(pixels)
            assert each.activation_map is not None
            np.testing.assert_allclose(each.activation_map, wanted.maps[0], atol=1e-5)


def test_a_gpu_engine_without_a_map_gives_none(tmp_path: Path) -> None:
    engine = write_engine(classifier(), contract(), tmp_path)
    with open_double(engine, CudaMachine()) as session:
        _, answer = frame_steps(session)
        assert answer(FRAME).activation_map is None
        with pytest.raises(InputError, match="gives no class activation map"):
            session.infer_frame_with_map(FRAME)


def test_the_callers_own_preprocessing_keeps_the_map(tmp_path: Path) -> None:
    engine = write_engine(_mapped(), contract(activation_map=ACTIVATION_MAP), tmp_path)
    with open_double(engine, CudaMachine()) as session:
        prepare, answer = frame_steps(session, lambda frame: np.ones((3, 16, 16), np.float32))
        found = answer(prepare(FRAME))
        wanted = session.infer_with_map(np.ones((1, 3, 16, 16), np.float32))
        assert found.activation_map is not None
        np.testing.assert_array_equal(found.activation_map, wanted.maps[0])


def _mapped() -> onnx.ModelProto:
    return add_activation_map(classifier(), where="m")


def _frame(seed: int) -> NDArray[np.uint8]:
    return np.random.default_rng(seed).integers(0, 256, (48, 64, 3), dtype=np.uint8)


def test_preparing_a_frame_makes_the_integers_of_an_int8_engine(tmp_path: Path) -> None:
    made = contract(precision="int8", scheme="onnxruntime-x86")
    model = write_onnx(quantized_classifier(activations="uint8"), tmp_path / "q.onnx", made)
    with open_session(build(model.path, target="cpu").path) as session:
        prepare, answer = frame_steps(session)
        ready = prepare(FRAME)
        assert ready.dtype == np.uint8
        whole = session.infer(input_from_bgr(session.contract.preprocess, FRAME)[None])
        np.testing.assert_array_equal(answer(ready).row, whole[0])
