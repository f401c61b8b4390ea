"""A GPU that is missing, full or fails leaks nothing.

The GPU is the CPU (tests/doubles): control flow, never hardware evidence.
"""

from __future__ import annotations

import pytest

from tests.doubles.cuda_machine import CudaMachine
from tests.doubles.engines import open_double
from tests.unit.toolkit.runtime.cuda.cuda_parts import pictures
from toolkit.artifacts import Engine
from toolkit.errors import MachineError


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
