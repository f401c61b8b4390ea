"""INT8 against FP16: what is said, on sessions of known speed and on doubles of the driver."""

from __future__ import annotations

import random
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from tests.doubles.cuda_machine import CudaMachine, FakeLibCuda, make_driver
from tests.doubles.engines import write_engine_of
from tests.doubles.tensorrt_runtime import engine_bytes, make_trt
from tests.unit.toolkit.onnx_graphs import classifier, contract
from toolkit.artifacts import Engine, OnnxModel, manifest_path
from toolkit.build.beside import fp16_beside, fp16_name
from toolkit.build.gpu_guard import guard_note
from toolkit.build.guard import DOES_NOT_BEAT, Guard, time_against_fp16
from toolkit.build.request import BuildRequest, TensorRTOptions
from toolkit.errors import ForeignEngineError
from toolkit.progress import silent
from toolkit.runtime.cuda.libcuda import LibCuda


class Clocked:
    """A session whose every inference takes `seconds` on a clock of the test's."""

    backend = "fake"
    note = ""

    def __init__(self, name: str, seconds: float, now: list[float]) -> None:
        self.contract = contract(input_shape=(1, 3, 16, 16))
        self.engine_name = name
        self._seconds = seconds
        self._now = now
        self._jitter = random.Random(name)

    def infer(self, batch: NDArray[np.float32]) -> NDArray[np.float32]:
        assert batch.shape == (1, 3, 16, 16)
        self._now[0] += self._seconds * (1.0 + 0.01 * self._jitter.random())
        return np.zeros((1, 4), np.float32)

    def __enter__(self) -> Clocked:
        return self

    def __exit__(self, *_: object) -> None:
        pass


def timed(int8_ms: float, fp16_ms: float) -> Guard:
    now = [0.0]
    int8 = Clocked("m.int8.engine", int8_ms / 1e3, now)
    fp16 = Clocked("m.fp16.engine", fp16_ms / 1e3, now)
    return time_against_fp16(int8, fp16, samples=200, clock=lambda: now[0])


def test_int8_that_is_faster_is_said_with_its_figures() -> None:
    guard = timed(1.0, 1.8)
    assert guard.passed
    assert guard.speedup.value == pytest.approx(1.8, rel=0.02)
    assert guard.note().startswith("INT8 beats m.fp16.engine: 1.8")
    assert "p50 1.0" in guard.note()


@pytest.mark.parametrize("fp16_ms", [0.5, 1.0, 1.005])
def test_int8_that_is_slower_or_no_faster_does_not_beat_fp16(fp16_ms: float) -> None:
    guard = timed(1.0, fp16_ms)
    assert not guard.passed
    assert guard.note().startswith(DOES_NOT_BEAT)
    assert guard.note().endswith("m.fp16.engine, which is the one to deploy")


@pytest.mark.parametrize(
    ("engine", "beside"),
    [
        ("m.int8.rtx-4090.engine", "m.fp16.rtx-4090.engine"),
        ("int8.engine", "fp16.engine"),
        ("m.engine", ""),
        ("mint8.engine", ""),
    ],
)
def test_the_fp16_engine_is_known_by_its_name(engine: str, beside: str) -> None:
    assert fp16_name(Path(engine)) == beside


def engine(folder: Path, name: str, precision: str, **changes: Any) -> Engine:
    made = contract(input_shape=(1, 3, 16, 16), precision=precision)
    return write_engine_of(
        classifier(), made, folder, name=name, precision=precision, batch=(1, 1, 1), **changes
    )


def test_only_an_fp16_engine_with_its_manifest_is_beside(tmp_path: Path) -> None:
    out = tmp_path / "m.int8.engine"
    assert fp16_beside(out) is None
    engine(tmp_path, "m.fp16.engine", "fp32")
    assert fp16_beside(out) is None
    fp16 = engine(tmp_path, "m.fp16.engine", "fp16")
    assert fp16_beside(out) == fp16
    fp16.path.write_bytes(b"altered")
    assert fp16_beside(out) is None
    manifest_path(fp16.path).unlink()
    assert fp16_beside(out) is None


def noted(folder: Path, int8: Engine, guard: Path | None = None) -> str:
    machine = CudaMachine()
    model = OnnxModel(folder / "m.onnx", "", int8.contract)
    request = BuildRequest(
        model, "sm87", folder / "m.int8.engine", sms=(87,), options=TensorRTOptions(guard=guard)
    )
    try:
        return guard_note(
            request,
            int8,
            silent,
            trt=make_trt(machine),
            driver=make_driver(machine),
            libcuda=LibCuda(FakeLibCuda(machine)),
        )
    finally:
        assert machine.retained == 0
        assert not machine.allocations


def test_a_new_int8_engine_is_timed_against_the_fp16_engine_beside_it(tmp_path: Path) -> None:
    int8 = engine(tmp_path, "new.engine", "int8")
    engine(tmp_path, "m.fp16.engine", "fp16")
    note = noted(tmp_path, int8)
    # The same graph twice, on a CPU: a verdict with figures, whichever it is.
    assert note.startswith(("INT8 beats m.fp16.engine: ", DOES_NOT_BEAT))
    assert " times as fast (" in note


def test_a_heavier_int8_engine_is_found_out(tmp_path: Path) -> None:
    made = contract(input_shape=(1, 3, 16, 16), precision="int8")
    heavy = classifier(channels=160)
    int8 = write_engine_of(
        heavy,
        made,
        tmp_path,
        name="new.engine",
        precision="int8",
        content=engine_bytes(heavy, batch=(1, 1, 1)),
    )
    asked = engine(tmp_path, "other.engine", "fp16")
    note = noted(tmp_path, int8, guard=asked.path)
    assert note.startswith(DOES_NOT_BEAT)
    assert "as other.engine" in note


def test_nothing_to_compare_with_is_said(tmp_path: Path) -> None:
    int8 = engine(tmp_path, "new.engine", "int8")
    expected = "INT8 was not timed against FP16: no m.fp16.engine lies beside it"
    assert noted(tmp_path, int8) == expected
    batch = contract(input_shape=(2, 3, 16, 16), precision="fp16")
    write_engine_of(classifier(), batch, tmp_path, name="m.fp16.engine", precision="fp16")
    assert noted(tmp_path, int8).startswith("INT8 was not timed against FP16: m.fp16.engine takes")
    other = contract(input_shape=(1, 3, 16, 16), precision="fp16", labels=("a", "b", "c", "d"))
    write_engine_of(classifier(), other, tmp_path, name="m.fp16.engine", precision="fp16")
    assert noted(tmp_path, int8).endswith("m.fp16.engine is the engine of another model")


def test_an_fp16_engine_of_another_gpu_is_noted_or_refused_when_it_was_asked_for(
    tmp_path: Path,
) -> None:
    int8 = engine(tmp_path, "new.engine", "int8")
    foreign = engine(tmp_path, "m.fp16.engine", "fp16", sms=(89,))
    assert "m.fp16.engine was built for" in noted(tmp_path, int8)
    with pytest.raises(ForeignEngineError, match=r"m\.fp16\.engine was built for"):
        noted(tmp_path, int8, guard=foreign.path)


def test_engines_that_are_not_int8_are_not_timed(tmp_path: Path) -> None:
    fp16 = engine(tmp_path, "new.engine", "fp16")
    assert noted(tmp_path, replace(fp16, contract=fp16.contract)) == ""
