"""`--times`: records of two engines of this model on this target, or one clear refusal."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import onnx
import pytest

from calibration.graph import Graph, prepare
from tests.unit.toolkit.tune.planted import planted_model
from tests.unit.toolkit.tune.timed import engine_of, timed
from toolkit.artifacts import OnnxModel
from toolkit.errors import InputError
from toolkit.latency import Latency, write_latency
from toolkit.tune.layer_times import LayerTimes
from toolkit.tune.recorded_times import recorded_times

FP16 = {"conv1 + relu1": 2.0, "conv2 + relu2": 3.0, "pool": 0.2, "fc": 0.5}
INT8 = {"w1 + conv1 + relu1": 1.0, "w2 + conv2 + relu2": 1.5, "reformat": 0.5, "fc": 0.5}


@pytest.fixture
def model(tmp_path: Path) -> OnnxModel:
    return planted_model(tmp_path / "m.onnx")


def _runs(model: OnnxModel, folder: Path, **options: str) -> tuple[Latency, Latency]:
    names = {"fp16": FP16, "int8": INT8}
    made = []
    for precision, kernels in names.items():
        path = folder / f"{precision}.engine"
        digest = engine_of(path, model, precision, **options)
        p50 = 6.0 if precision == "fp16" else 4.0
        made.append(timed(p50, kernels, engine=str(path), digest=digest, precision=precision))
    return made[0], made[1]


def _read(model: OnnxModel, folder: Path, *runs: Latency, target: str = "rtx-4090") -> LayerTimes:
    record = folder / "layers.latency.json"
    write_latency(record, runs)
    graph = Graph(prepare(onnx.load(model.path)))
    layers = ("conv1", "conv2", "fc")
    return recorded_times([record], model=model, target=target, graph=graph, layers=layers)


def test_two_runs_in_one_record_give_the_times(model: OnnxModel, tmp_path: Path) -> None:
    found = _read(model, tmp_path, *_runs(model, tmp_path))
    assert found.added_ms == pytest.approx({"conv1": 1.0, "conv2": 1.5, "fc": 0.0})
    assert found.source == "layers.latency.json, measured on a board"
    assert found.notes == ()


def test_engines_that_moved_along_with_the_record_are_found(
    model: OnnxModel, tmp_path: Path
) -> None:
    runs = [replace(r, engine=f"/gone/{Path(r.engine).name}") for r in _runs(model, tmp_path)]
    assert _read(model, tmp_path, *runs).int8_ms == 4.0


def test_an_fp16_form_of_the_same_source_is_this_model(model: OnnxModel, tmp_path: Path) -> None:
    runs = list(_runs(model, tmp_path))
    path = tmp_path / "fp16.engine"
    digest = engine_of(path, model, "fp16", parent=model.contract.parent)
    runs[0] = replace(runs[0], digest=digest)
    assert _read(model, tmp_path, *runs).float_ms == 6.0


def test_what_weakens_the_prediction_is_noted(model: OnnxModel, tmp_path: Path) -> None:
    first, second = _runs(model, tmp_path)
    first = replace(first, precision="fp32", run="another", batch=4)
    notes = " ".join(_read(model, tmp_path, first, replace(second, batch=4)).notes)
    assert "timed in FP32" in notes
    assert "not measured in turns" in notes
    assert "4 images at a time" in notes


def test_a_missing_or_doubled_engine_is_named(model: OnnxModel, tmp_path: Path) -> None:
    first, second = _runs(model, tmp_path)
    with pytest.raises(InputError, match="no layer times of an INT8 engine") as caught:
        _read(model, tmp_path, first)
    command = caught.value.next_command
    assert command.startswith("edgekit measure FLOAT.engine INT8.engine --layers --host")
    with pytest.raises(InputError, match="no layer times of a float engine"):
        _read(model, tmp_path, second)
    with pytest.raises(InputError, match="names 2 INT8 engines, and one is needed"):
        _read(model, tmp_path, first, second, second)


def test_a_record_without_layers_is_refused(model: OnnxModel, tmp_path: Path) -> None:
    first, second = _runs(model, tmp_path)
    with pytest.raises(InputError, match=r"no times of single layers for .*int8\.engine"):
        _read(model, tmp_path, first, replace(second, layers=()))


def test_engines_of_another_model_are_refused(model: OnnxModel, tmp_path: Path) -> None:
    runs = _runs(model, tmp_path, parent="f" * 64)
    with pytest.raises(InputError, match="engine of another model"):
        _read(model, tmp_path, *runs)


def test_times_of_another_target_are_refused(model: OnnxModel, tmp_path: Path) -> None:
    runs = _runs(model, tmp_path)
    with pytest.raises(InputError, match="times on rtx-4090, not on jetson-orin-nano-8gb"):
        _read(model, tmp_path, *runs, target="jetson-orin-nano-8gb")


def test_an_engine_without_manifest_is_of_no_known_model(model: OnnxModel, tmp_path: Path) -> None:
    runs = _runs(model, tmp_path)
    (tmp_path / "int8.engine.json").unlink()
    with pytest.raises(InputError, match="of which model that engine is cannot be read"):
        _read(model, tmp_path, *runs)


def test_an_engine_built_anew_is_not_the_one_that_was_timed(
    model: OnnxModel, tmp_path: Path
) -> None:
    first, second = _runs(model, tmp_path)
    with pytest.raises(InputError, match="built anew"):
        _read(model, tmp_path, first, replace(second, digest="a" * 64))


def test_other_batches_cannot_be_set_against_each_other(model: OnnxModel, tmp_path: Path) -> None:
    first, second = _runs(model, tmp_path)
    with pytest.raises(InputError, match="4 images at a time"):
        _read(model, tmp_path, replace(first, batch=4), second)
