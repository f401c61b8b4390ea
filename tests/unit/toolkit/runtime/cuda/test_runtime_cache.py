"""Kernels that TensorRT-RTX compiled are kept.

The GPU is the CPU (tests/doubles): control flow, never hardware evidence.
"""

from __future__ import annotations

from tests.doubles.cuda_machine import CudaMachine
from tests.doubles.engines import open_double
from tests.unit.toolkit.runtime.cuda.cuda_parts import pictures
from toolkit.artifacts import Engine


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
