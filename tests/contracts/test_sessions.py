"""What every row of RUNTIMES promises. A new runtime is tested by being listed.

Rows that need a GPU run on the doubles: their control flow is tested, not their hardware.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import onnx
import pytest

from tests.contracts import known_answer
from tests.doubles.engines import open_runtime as open_session
from tests.unit.toolkit.onnx_graphs import classifier, contract
from toolkit.errors import InputError
from toolkit.onnx_model.file import write_onnx
from toolkit.runtime import RUNTIMES

COMPUTING = sorted(set(RUNTIMES) - {"fake"})  # the fake says in its note that it computes nothing
ALL = sorted(RUNTIMES)


def written(model: onnx.ModelProto, folder: Path) -> Path:
    return write_onnx(model, folder / "known.onnx", known_answer.contract(model)).path


@pytest.fixture
def model(tmp_path: Path) -> Path:
    return write_onnx(classifier(), tmp_path / "m.onnx", contract()).path


@pytest.mark.parametrize("backend", COMPUTING)
def test_convolution_relu_and_pooling_worked_by_hand(tmp_path: Path, backend: str) -> None:
    path = written(known_answer.convolution(), tmp_path)
    with open_session(path, backend=backend) as session:
        assert session.infer(known_answer.PICTURE).tolist() == [known_answer.ANSWER]


@pytest.mark.parametrize("backend", COMPUTING)
def test_cross_entropy_worked_by_hand(tmp_path: Path, backend: str) -> None:
    path = written(known_answer.cross_entropy(), tmp_path)
    with open_session(path, backend=backend) as session:
        loss = session.infer(known_answer.PICTURE)[0, 0]
    assert loss == pytest.approx(known_answer.CROSS_ENTROPY, abs=5e-4)


@pytest.mark.parametrize("backend", COMPUTING)
def test_each_picture_of_a_batch_gets_its_own_logits(tmp_path: Path, backend: str) -> None:
    path = written(known_answer.convolution(), tmp_path)
    pictures = np.concatenate([known_answer.PICTURE, 2 * known_answer.PICTURE])
    with open_session(path, backend=backend) as session:
        first, second = session.infer(pictures)
    assert second.tolist() == (2 * first).tolist()


@pytest.mark.parametrize("backend", ALL)
def test_a_session_says_what_it_is(model: Path, backend: str) -> None:
    with open_session(model, backend=backend) as session:
        assert session.backend == backend
        assert session.engine_name == "m.onnx"
        assert session.contract == contract()
        assert isinstance(session.note, str)


@pytest.mark.parametrize("backend", ALL)
def test_logits_are_float32_and_belong_to_the_caller(model: Path, backend: str) -> None:
    with open_session(model, backend=backend) as session:
        batch = np.zeros((2, 3, 16, 16), np.float32)
        first = session.infer(batch)
        kept = first.copy()
        session.infer(batch + 1)
        assert first.dtype == np.float32
        assert first.shape == (2, 4)
        assert first.tolist() == kept.tolist()


@pytest.mark.parametrize("backend", ALL)
@pytest.mark.parametrize(
    "batch",
    [
        np.zeros((1, 16, 16, 3), np.float32),
        np.zeros((3, 16, 16), np.float32),
        np.zeros((1, 3, 16, 16), np.float64),
        np.zeros((1, 3, 16, 16), np.uint8),
        np.zeros((0, 3, 16, 16), np.float32),
    ],
    ids=lambda batch: f"{batch.dtype}{batch.shape}",
)
def test_a_wrong_batch_is_refused_with_both_shapes(
    model: Path, backend: str, batch: np.ndarray
) -> None:
    with (
        open_session(model, backend=backend) as session,
        pytest.raises(InputError, match=r"m\.onnx takes a batch of float32 \(N, 3, 16, 16\), got"),
    ):
        session.infer(batch)


@pytest.mark.parametrize("backend", ALL)
def test_equal_pictures_get_equal_logits(model: Path, backend: str) -> None:
    batch = np.random.default_rng(0).standard_normal((1, 3, 16, 16)).astype(np.float32)
    with open_session(model, backend=backend) as session:
        assert session.infer(batch).tolist() == session.infer(batch.copy()).tolist()


@pytest.mark.parametrize("backend", ["onnxruntime", "onnxruntime-float"])
def test_sessions_that_promise_it_may_be_used_from_several_threads(
    model: Path, backend: str
) -> None:
    batches = np.random.default_rng(0).standard_normal((16, 1, 3, 16, 16)).astype(np.float32)
    with open_session(model, backend=backend, threads=1) as session:
        alone = [session.infer(batch).tolist() for batch in batches]
        with ThreadPoolExecutor(4) as pool:
            together = [logits.tolist() for logits in pool.map(session.infer, batches)]
    assert together == alone


def test_every_backend_opens_with_any_threads_and_spinning(model: Path) -> None:
    for backend in ("auto", *ALL):
        with open_session(model, backend=backend, threads=1, spin=False) as session:
            assert session.infer(np.zeros((1, 3, 16, 16), np.float32)).shape == (1, 4)
