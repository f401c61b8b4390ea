from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from toolkit.errors import InputError
from toolkit.latency import Latency, ratio_between, read_latency, write_latency


def latency(**changes: object) -> Latency:
    times = np.random.default_rng(0).gamma(50.0, 0.1, 1000)
    made = Latency(
        engine="m.int8.cpu.onnx",
        digest="ab" * 32,
        backend="onnxruntime",
        precision="int8",
        threads=2,
        batch=1,
        run="r1",
        block=5,
        samples_ms=tuple(times.tolist()),
        warmup_ms=(9.0, 8.0),
        switch_ms=(7.0,),
        cold_start_ms=31.5,
        bytes=1234,
        conditions={"cpu_model": "x", "before": {"load_1min": 0.1}},
        notes=("a note",),
    )
    return replace(made, **changes)  # type: ignore[arg-type] # fields of several types


def test_percentiles_come_from_the_samples_alone() -> None:
    run = latency(samples_ms=tuple(float(i) for i in range(1, 101)), warmup_ms=(1e6,))
    assert (run.percentile(50), run.percentile(95), run.percentile(99)) == (50.0, 95.0, 99.0)
    assert run.jitter_ms == 49.0


def test_the_line_marks_percentiles_with_fewer_than_ten_samples_beyond() -> None:
    few = latency(samples_ms=(6.41,) * 400)
    assert few.line() == (
        "m.int8.cpu.onnx  p50 6.41 ms  p95 6.41 ms  p99 6.41 ms?  156.0 images/s  "
        "(400 runs after 2 warm-up)"
    )
    assert "?" not in latency().line()


def test_throughput_counts_images_not_batches() -> None:
    assert latency(samples_ms=(4.0,) * 10, batch=8).images_per_second == pytest.approx(2000.0)


def test_the_json_has_the_contract_keys_and_raw_samples_only_on_demand() -> None:
    values = latency().to_dict()
    contract = {"engine", "p50_ms", "p95_ms", "p99_ms", "samples", "warmup", "conditions"}
    assert contract <= set(values)
    assert (values["samples"], values["warmup"]) == (1000, 2)
    assert "samples_ms" not in values
    assert len(latency().to_dict(raw=True)["samples_ms"]) == 1000
    json.dumps(values, allow_nan=False)


def test_open_intervals_are_null_in_json() -> None:
    values = latency(samples_ms=(1.0, 2.0, 3.0), block=1).to_dict()
    assert values["p99_interval_ms"][1] is None
    json.dumps(values, allow_nan=False)


def test_a_file_gives_back_every_sample(tmp_path: Path) -> None:
    runs = (latency(), latency(engine="other"))
    write_latency(tmp_path / "a.latency.json", runs)
    assert read_latency(tmp_path / "a.latency.json") == runs


def damage(path: Path, old: str, new: str) -> None:
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new, 1))


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ('"version": 1', '"version": 9', "newer Edgekit"),
        ('"version": 1', '"version": "x"', "damaged or was edited"),
        ('"kind": "edgekit latency"', '"kind": "edgekit accuracy"', "holds edgekit accuracy"),
        ('"p50_ms": ', '"p50_ms": 1', "p50_ms does not follow"),
        ('"block": 5', '"block": 7', "1000 samples in blocks of 7"),
        ('"switch_ms": [7.0]', '"switch_ms": [-7.0]', "not positive"),
        ('"switch_ms": [7.0]', '"switch_ms": null', "damaged or was edited"),
        ('"threads": 2,', "", "KeyError"),
    ],
)
def test_a_newer_or_edited_file_is_refused(tmp_path: Path, old: str, new: str, said: str) -> None:
    path = tmp_path / "a.latency.json"
    write_latency(path, [latency()])
    damage(path, old, new)
    with pytest.raises(InputError, match=said):
        read_latency(path)


def test_a_file_cut_off_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.latency.json"
    write_latency(path, [latency()])
    path.write_bytes(path.read_bytes()[:500])
    with pytest.raises(InputError, match="cut off"):
        read_latency(path)


@pytest.mark.parametrize("content", ["[]", "{}", '{"kind": "edgekit latency", "version": 1}'])
def test_json_without_runs_is_refused(tmp_path: Path, content: str) -> None:
    path = tmp_path / "a.latency.json"
    path.write_text(content)
    with pytest.raises(InputError):
        read_latency(path)


def test_a_missing_file_is_refused_with_the_command_that_makes_one(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="cannot be read") as caught:
        read_latency(tmp_path / "no.latency.json")
    assert caught.value.next_command.startswith("edgekit measure")


def test_the_ratio_of_engines_that_took_turns_has_an_interval() -> None:
    a = latency()
    b = latency(samples_ms=tuple(2.0 * ms for ms in a.samples_ms))
    ratio = ratio_between(a, b)
    assert ratio.value == pytest.approx(2.0)
    assert ratio.differs()


def test_engines_of_different_runs_are_not_compared() -> None:
    with pytest.raises(InputError, match="not measured in turns"):
        ratio_between(latency(), latency(run="r2"))
