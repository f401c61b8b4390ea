from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from calibration.table import CalibrationTable, Range, table_from_json
from tests.unit.toolkit.onnx_graphs import classifier, contract
from tests.unit.toolkit.picture_folders import write_classes
from toolkit.calibrate import calibrate
from toolkit.calibrate.seen_confidence import shift_of_confidence
from toolkit.onnx_model.file import write_onnx

OLD = CalibrationTable("0" * 64, "minmax", 8, 0, {"image": Range(-1.0, 1.0, "minmax")})


def test_medians_that_differ_by_more_than_chance_are_a_shift() -> None:
    generator = np.random.default_rng(0)
    sure, doubtful = generator.uniform(0.8, 1.0, 64), generator.uniform(0.3, 0.7, 300)
    found = shift_of_confidence(sorted(sure), list(doubtful))
    assert found is not None
    assert found.shift == pytest.approx(-0.4, abs=0.05)
    assert found.interval.high < 0.0
    assert found.line().endswith("shifted")


def test_medians_of_like_samples_show_no_shift() -> None:
    generator = np.random.default_rng(1)
    found = shift_of_confidence(sorted(generator.uniform(0, 1, 64)), generator.uniform(0, 1, 200))
    assert found is not None
    assert 0.0 in found.interval
    assert found.interval.width < 0.6
    assert "no shift shown" in found.line()


def test_few_frames_bound_nothing() -> None:
    found = shift_of_confidence([0.8] * 30, [0.1, 0.2])
    assert found is not None
    assert found.line().endswith("[?, ?], too few independent frames to tell")
    assert found.to_dict()["interval"] == [None, None]


def test_frames_that_resemble_their_neighbours_tell_less() -> None:
    generator = np.random.default_rng(2)
    values = np.repeat(generator.uniform(0, 1, 20), 20)
    mixed = generator.permutation(values)
    before = sorted(generator.uniform(0.5, 0.52, 64))
    slow, fast = (shift_of_confidence(before, each) for each in (values, mixed))
    assert slow is not None
    assert fast is not None
    assert slow.interval.width > 1.5 * fast.interval.width


def test_nothing_is_compared_with_a_table_that_holds_none() -> None:
    assert shift_of_confidence((), [0.5]) is None
    assert shift_of_confidence([0.5], ()) is None


def test_a_table_from_before_reads_and_keeps_its_digest() -> None:
    values = json.loads(OLD.to_json())
    assert "confidences" not in values
    read = table_from_json(OLD.to_json(), where="t")
    assert read == OLD
    assert read.digest == OLD.digest


def test_a_table_with_confidences_survives_its_file() -> None:
    made = replace(OLD, confidences=(0.25, 0.75))
    assert table_from_json(made.to_json(), where="t") == made


def test_calibration_records_what_its_own_network_answers(tmp_path: Path) -> None:
    model = write_onnx(classifier(opset=17), tmp_path / "m.onnx", contract())
    write_classes(tmp_path / "images", dict.fromkeys(contract().labels, 3))
    made = calibrate(model.path, images=tmp_path / "images", samples=8, effort="fast")
    seen = table_from_json(made.table.read_text(), where="t").confidences
    assert len(seen) == 8
    assert list(seen) == sorted(seen)
    assert all(0.25 <= each <= 1.0 for each in seen)  # four classes


def test_noise_has_no_confidence_worth_recording(tmp_path: Path) -> None:
    model = write_onnx(classifier(opset=17), tmp_path / "m.onnx", contract())
    made = calibrate(model.path, images=None, samples=4, effort="fast", random_data=True)
    assert table_from_json(made.table.read_text(), where="t").confidences == ()
