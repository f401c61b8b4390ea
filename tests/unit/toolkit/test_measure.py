from __future__ import annotations

import re
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

import toolkit.measure
from targets import Conditions, read_conditions
from tests.unit.toolkit.colour_models import make_model
from tests.unit.toolkit.onnx_graphs import classifier, contract, quantized_classifier
from toolkit.build import build
from toolkit.errors import InputError
from toolkit.latency import ratio_between
from toolkit.measure import measure
from toolkit.onnx_model.file import write_onnx
from toolkit.progress import Progress
from toolkit.runtime import Session, open_session


def test_engines_are_measured_in_turns_with_their_conditions(tmp_path: Path) -> None:
    paths = [make_model(tmp_path / f"{name}.onnx") for name in "ab"]
    seen: list[Progress] = []
    runs = measure(paths, threads=1, samples=200, warmup=3, progress=seen.append)
    assert [run.engine for run in runs] == [str(path) for path in paths]
    assert runs[0].run == runs[1].run
    for run in runs:
        assert len(run.samples_ms) == 200
        assert len(run.warmup_ms) == 3
        assert len(run.switch_ms) == 40
        assert run.cold_start_ms > run.percentile(50)
        assert run.bytes == Path(run.engine).stat().st_size
        assert run.conditions["cpu_model"] == run.conditions["before"]["cpu_model"]
        assert (run.backend, run.precision, run.threads, run.batch) == ("onnxruntime", "fp32", 1, 1)
    assert ratio_between(*runs).rounds == 40
    assert seen[-1] == Progress("measure", 40, 40)


def test_one_engine_needs_no_run_after_a_switch(tmp_path: Path) -> None:
    (run,) = measure([make_model(tmp_path / "a.onnx")], threads=1, samples=10, warmup=0)
    assert (len(run.samples_ms), run.switch_ms, run.warmup_ms) == (10, (), ())


def test_a_batch_is_measured_whole(tmp_path: Path) -> None:
    (run,) = measure([make_model(tmp_path / "a.onnx")], threads=1, samples=40, batch=4)
    assert run.batch == 4


def test_an_engine_of_fixed_batch_is_measured_with_it_and_refuses_others(tmp_path: Path) -> None:
    path = make_model(tmp_path / "a.onnx", input_shape=(2, 3, 8, 8))
    (run,) = measure([path], threads=1, samples=10)
    assert run.batch == 2
    with pytest.raises(InputError, match="batches of 2 images, not of 3"):
        measure([path], threads=1, samples=10, batch=3)


def test_time_that_is_up_is_said(tmp_path: Path) -> None:
    path = make_model(tmp_path / "a.onnx")
    (run,) = measure([path], threads=1, samples=10_000_000, seconds=0.05, warmup=1)
    assert run.samples_ms
    assert "time was up after" in run.notes[0]


@pytest.mark.parametrize(
    "budget",
    [{"samples": 0}, {"seconds": 0.0}, {"seconds": float("nan")}, {"warmup": -1}, {"batch": -1}],
)
def test_a_budget_of_nothing_is_refused(tmp_path: Path, budget: dict[str, Any]) -> None:
    with pytest.raises(InputError, match="Nothing can be measured"):
        measure([make_model(tmp_path / "a.onnx")], **budget)


def test_no_engine_and_the_same_engine_twice_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no engine"):
        measure([])
    path = make_model(tmp_path / "a.onnx")
    with pytest.raises(InputError, match="named twice"):
        measure([path, path])


def test_a_missing_engine_is_refused_before_anything_is_timed(tmp_path: Path) -> None:
    path = make_model(tmp_path / "a.onnx")
    with pytest.raises(InputError, match=r"missing\.onnx"):
        measure([path, tmp_path / "missing.onnx"], samples=10**9)


class Slowed:
    """A session whose every inference takes a little longer, by busy waiting."""

    def __init__(self, session: Session, seconds: list[float]) -> None:
        self._session = session
        self._seconds = seconds
        self.contract = session.contract
        self.backend = session.backend
        self.engine_name = session.engine_name
        self.note = session.note

    def infer(self, batch: NDArray[np.float32]) -> NDArray[np.float32]:
        end = time.perf_counter() + (self._seconds.pop(0) if self._seconds else 0.0)
        logits = self._session.infer(batch)
        while time.perf_counter() < end:
            pass
        return logits

    def __enter__(self) -> Slowed:
        return self

    def __exit__(self, *_: object) -> None:
        self._session.__exit__(None, None, None)


def slow_down(monkeypatch: pytest.MonkeyPatch, seconds: list[float]) -> None:
    def opened(path: Path, **options: Any) -> Slowed:
        return Slowed(open_session(path, **options), seconds)

    monkeypatch.setattr(toolkit.measure, "open_session", opened)


def test_a_run_that_gets_slower_says_so_and_what_to_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    slow_down(monkeypatch, [0.001] * 21 + [0.003] * 40)  # the first is the cold start
    (run,) = measure([make_model(tmp_path / "a.onnx")], threads=1, samples=60, warmup=0)
    assert any("during the run" in reason for reason in run.unstable)
    assert run.unstable[-1].startswith("unstable: ")


def test_one_sample_is_measured_and_called_too_few(tmp_path: Path) -> None:
    (run,) = measure([make_model(tmp_path / "a.onnx")], threads=1, samples=1)
    assert "too few" in run.unstable[0]
    assert "p99" in run.to_dict()["untrusted_percentiles"]


def test_a_machine_that_throttles_meanwhile_is_reported(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    counts = iter([3, 4])

    def hot() -> Conditions:
        return replace(read_conditions(), throttle_events=next(counts))

    monkeypatch.setattr(toolkit.measure, "read_conditions", hot)
    (run,) = measure([make_model(tmp_path / "a.onnx")], threads=1, samples=40)
    assert "the machine held its clocks down" in run.unstable


def test_an_engine_that_takes_integers_says_what_was_not_timed(tmp_path: Path) -> None:
    made = contract(precision="int8", scheme="onnxruntime-x86")
    int8 = write_onnx(quantized_classifier(activations="uint8"), tmp_path / "q.onnx", made)
    fp32 = write_onnx(classifier(), tmp_path / "m.onnx", contract())
    engines = [build(each.path, target="cpu").path for each in (fp32, int8)]
    plain, integers = measure(engines, samples=2, warmup=0)
    assert not any("made ready apart" in note for note in plain.notes)
    assert any(re.search(r"made ready apart: \d+\.\d\d ms", note) for note in integers.notes)
