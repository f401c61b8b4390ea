"""What a session answers, and its life.

The GPU is the CPU (tests/doubles): control flow, never hardware evidence.
"""

from __future__ import annotations

import threading
from pathlib import Path

import numpy as np
import pytest

from tests.doubles.cuda_machine import CudaMachine
from tests.doubles.engines import open_double, write_engine
from tests.unit.toolkit.onnx_graphs import classifier, contract
from tests.unit.toolkit.runtime.cuda.cuda_parts import (
    by_onnxruntime,
    frame,
    needs_compiler,
    pictures,
    unchecked,
)
from toolkit.artifacts import Engine
from toolkit.errors import InputError


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


def test_logits_belong_to_the_caller(engine: Engine, machine: CudaMachine) -> None:
    with open_double(engine, machine) as session:
        first = session.infer(pictures(1))
        kept = first.copy()
        session.infer(pictures(1, seed=1))
        np.testing.assert_array_equal(first, kept)


@needs_compiler
def test_stages_are_timed_by_events(engine: Engine, machine: CudaMachine) -> None:
    with open_double(engine, machine) as session:
        assert session.last_stage_ms == {}
        session.infer(pictures(1))
        assert list(session.last_stage_ms) == ["h2d", "compute", "d2h"]
        session.infer_frame(frame())
        assert list(session.last_stage_ms) == ["h2d", "preprocess", "compute", "d2h"]
        assert all(value >= 0.0 for value in session.last_stage_ms.values())


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
