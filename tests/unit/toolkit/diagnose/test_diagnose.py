"""What a diagnosis says, in which words, and what it refuses."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from benchmarks.planted_faults import Subject
from benchmarks.plantings import plant
from calibration.errors import CalibrationError
from calibration.nodes import set_constant
from tests.unit.toolkit.onnx_graphs import classifier, contract, quantized_classifier
from tests.unit.toolkit.picture_folders import write_classes
from toolkit.build import build
from toolkit.calibrate import calibrate
from toolkit.cli.app import app
from toolkit.diagnose import diagnose, html_from_diagnosis, write_skeleton
from toolkit.errors import ContractError
from toolkit.onnx_model.file import open_model, read_onnx, write_onnx


def test_a_good_model_has_no_fault_and_the_steps_end_at_its_accuracy(signs: list[Subject]) -> None:
    subject = signs[0]
    found = diagnose(subject.int8, reference=subject.reference, images=subject.images, samples=40)
    assert found.samples == 40
    assert not any(finding.fault for finding in found.findings)
    assert [stage.name for stage in found.stages] == ["FP32 -> Q/DQ"]
    assert found.stages[0].top1_after == found.comparison.b.top1
    assert found.stages[0].sqnr_db > 20.0
    assert len(found.layers) == 8 and not found.not_compared
    assert min(layer.local_sqnr_db for layer in found.layers) > 20.0
    assert "no fault found" in found.line()


def test_a_shrunk_range_is_named_with_its_gain_and_drawn(
    signs: list[Subject], tmp_path: Path
) -> None:
    subject = signs[2]
    planting = plant(subject.int8, "range", seed=1, out=tmp_path / "bad.onnx")
    found = diagnose(planting.model, reference=subject.reference, images=subject.images, samples=40)
    first = found.findings[0]
    assert (first.kind, first.where, first.fault) == ("range", planting.where, True)
    assert first.trial.removed > 0.5
    assert first.trial.sqnr_after_db > first.trial.sqnr_before_db + 3.0
    assert found.best is not None  # the layer in float undoes it too, and may undo more
    assert found.best.trial.removed >= first.trial.removed
    page = html_from_diagnosis(found)
    assert page.count("<svg") > 8 and planting.where in page
    assert not re.search(r'(src|href)="(?!data:|#)', page)  # nothing is loaded from elsewhere


def test_without_a_reference_the_skeleton_serves_and_that_is_said(
    signs: list[Subject], tmp_path: Path
) -> None:
    planting = plant(signs[0].int8, "range", seed=3, out=tmp_path / "bad.onnx")
    found = diagnose(planting.model, images=signs[0].images, samples=24)
    assert (found.findings[0].kind, found.findings[0].where) == ("range", planting.where)
    assert any("float skeleton served" in note for note in found.notes)
    assert not [f for f in found.findings if f.kind in ("bias", "weight")]


def test_the_steps_tell_preprocessing_from_quantization_from_the_engine(
    signs: list[Subject], tmp_path: Path
) -> None:
    subject = signs[2]  # for this CPU: it can be built here
    engine = build(subject.int8, target="cpu", out=tmp_path / "engine.onnx").path
    planting = plant(subject.int8, "bgr", seed=0, out=tmp_path / "bgr.onnx")
    found = diagnose(
        planting.model,
        reference=subject.reference,
        images=subject.images,
        engine=engine,
        samples=24,
    )
    steps = {stage.name: stage for stage in found.stages}
    assert list(steps) == ["FP32 -> Q/DQ", "preprocessing", "Q/DQ -> engine"]
    assert steps["preprocessing"].sqnr_db < steps["FP32 -> Q/DQ"].sqnr_db
    first = found.findings[0]
    assert (first.kind, first.where) == ("preprocess", "colour")
    assert "colour bgr" in first.text and "colour rgb" in first.change


def test_a_skeleton_can_be_calibrated_anew(signs: list[Subject], tmp_path: Path) -> None:
    subject = signs[0]
    planting = plant(subject.int8, "range", seed=5, out=tmp_path / "bad.onnx")
    floats = write_skeleton(planting.model, tmp_path / "skeleton.onnx")
    assert open_model(floats).contract.precision == "fp32"
    calibrate(
        floats, images=subject.images, samples=40, effort="fast", out=tmp_path / "again.int8.onnx"
    )
    bad, again = (
        diagnose(path, reference=subject.reference, images=subject.images, samples=40)
        for path in (planting.model, tmp_path / "again.int8.onnx")
    )
    assert again.stages[0].sqnr_db > bad.stages[0].sqnr_db + 3.0


@pytest.fixture
def small(tmp_path: Path) -> dict[str, Path]:
    """A float classifier, its INT8 form and pictures."""
    made = contract()
    int8 = made.with_changes(precision="int8", scheme="tensorrt")
    images = write_classes(tmp_path / "images", dict.fromkeys(made.labels, 2))
    return {
        "fp32": write_onnx(classifier(), tmp_path / "m.onnx", made).path,
        "int8": write_onnx(quantized_classifier(), tmp_path / "m.int8.onnx", int8).path,
        "images": images,
    }


def test_a_model_without_a_contract_is_prepared_for_like_its_reference(
    small: dict[str, Path], tmp_path: Path
) -> None:
    bare = read_onnx(small["int8"])
    del bare.metadata_props[:]
    path = tmp_path / "bare.onnx"
    path.write_bytes(bare.SerializeToString())
    found = diagnose(path, reference=small["fp32"], images=small["images"])
    assert found.samples == 8
    with pytest.raises(ContractError):
        diagnose(path, images=small["images"])


def test_a_zeroed_bias_is_called_zero(small: dict[str, Path], tmp_path: Path) -> None:
    model = read_onnx(small["int8"])
    bias = {t.name: t for t in model.graph.initializer}["b1"]
    set_constant(model, "b1", np.zeros(bias.dims[0], np.float32))
    bad = write_onnx(model, tmp_path / "bad.onnx", open_model(small["int8"]).contract).path
    found = diagnose(bad, reference=small["fp32"], images=small["images"])
    assert any(f.kind == "bias" and "is zero" in f.text for f in found.findings)


def test_a_reference_of_another_structure_is_compared_as_far_as_it_goes(
    small: dict[str, Path], tmp_path: Path
) -> None:
    other = write_onnx(classifier(channels=24), tmp_path / "wide.onnx", contract()).path
    found = diagnose(small["int8"], reference=other, images=small["images"])
    assert any("of the reference are not in the INT8 model" in said for said in found.not_compared)
    assert any("of the INT8 model are not in the reference" in said for said in found.not_compared)


def test_a_reference_with_other_classes_or_pixels_is_refused(
    small: dict[str, Path], tmp_path: Path
) -> None:
    named = contract(labels=("a", "b", "c", "d"))
    other = write_onnx(classifier(), tmp_path / "other.onnx", named).path
    with pytest.raises(ContractError, match="not the same network"):
        diagnose(small["int8"], reference=other, images=small["images"])


def test_a_float_model_is_refused(small: dict[str, Path]) -> None:
    with pytest.raises(CalibrationError, match="not an INT8 model"):
        diagnose(small["fp32"], reference=small["fp32"], images=small["images"])


def test_the_command_prints_one_object_and_writes_page_and_skeleton(
    small: dict[str, Path], tmp_path: Path
) -> None:
    page, floats = tmp_path / "why.html", tmp_path / "floats.onnx"
    options = ["--reference", str(small["fp32"]), "--images", str(small["images"])]
    files = ["--html", str(page), "--skeleton", str(floats)]
    done = CliRunner().invoke(app, ["diagnose", str(small["int8"]), *options, *files, "--json"])
    values = json.loads(done.stdout)
    assert done.exit_code == 0
    assert {"stages", "findings", "best", "layers", "tensors", "comparison"} <= set(values)
    assert page.read_text(encoding="utf-8").startswith("<!doctype html>")
    assert open_model(floats).contract.scheme == ""
    lines = CliRunner().invoke(app, ["diagnose", str(small["int8"]), *options])
    assert lines.exit_code == 0 and "layers with the largest local error" in lines.output


def test_labels_in_a_page_cannot_become_markup(small: dict[str, Path], tmp_path: Path) -> None:
    found = diagnose(small["int8"], reference=small["fp32"], images=small["images"])
    page = html_from_diagnosis(replace(found, model="<script>alert(1)</script>"))
    assert "<script>" not in page
