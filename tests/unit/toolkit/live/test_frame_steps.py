from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from tests.doubles.cuda_machine import CudaMachine
from tests.doubles.engines import open_double, write_engine
from tests.doubles.host_kernel import HOST_COMPILER
from tests.unit.toolkit.onnx_graphs import classifier, contract, quantized_classifier
from toolkit.build import build
from toolkit.frame_input import input_from_bgr
from toolkit.live.frame_steps import frame_steps
from toolkit.onnx_model.file import write_onnx
from toolkit.runtime import open_session
from toolkit.runtime.fake import FakeSession

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


def test_an_int8_engine_gets_its_integers_from_the_thread_that_prepares(tmp_path: Path) -> None:
    made = contract(precision="int8", scheme="onnxruntime-x86")
    model = write_onnx(quantized_classifier(activations="uint8"), tmp_path / "q.onnx", made)
    with open_session(build(model.path, target="cpu").path) as session:
        prepare, answer = frame_steps(session)
        ready = prepare(FRAME)
        assert ready.dtype == np.uint8
        whole = session.infer(input_from_bgr(session.contract.preprocess, FRAME)[None])
        np.testing.assert_array_equal(answer(ready).row, whole[0])
