"""CUDA graphs: captured, replayed, given up.

The GPU is the CPU (tests/doubles): control flow, never hardware evidence.
"""

from __future__ import annotations

import numpy as np
import pytest

from tests.doubles.cuda_machine import CudaMachine
from tests.doubles.engines import open_double
from tests.unit.toolkit.runtime.cuda.cuda_parts import by_onnxruntime, pictures
from toolkit.artifacts import Engine


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
