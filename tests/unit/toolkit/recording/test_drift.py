from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from calibration.errors import CalibrationError
from calibration.repair.pixels import PIXELS
from calibration.table import CalibrationTable, Range
from tests.unit.toolkit.colour_models import colour_contract
from tests.unit.toolkit.recording.test_recorder import noise
from toolkit.errors import InputError, StaleError
from toolkit.frame_input import input_from_bgr
from toolkit.recording import read_recording
from toolkit.recording.drift import EngineRun, drift_of, drift_of_session
from toolkit.recording.recorder import open_recorder


def table(**ranges: Range) -> CalibrationTable:
    return CalibrationTable("0" * 64, "minmax", 8, 0, ranges)


CONTRACT = colour_contract()
RUN = EngineRun("int8", CONTRACT, ())


def grey(value: int) -> NDArray[np.uint8]:
    return np.full((8, 8, 3), value, np.uint8)


def test_values_outside_the_calibrated_range_are_clipped() -> None:
    largest = float(input_from_bgr(CONTRACT.preprocess, grey(150)).max())
    found = drift_of(
        [(0, grey(100)), (1, grey(250))],
        RUN,
        table(image=Range(-9.0, largest, "minmax")),
        name="t.json",
    )
    assert found.clipped_share == pytest.approx(0.5)
    assert (found.worst_frame, found.worst_share) == (1, 1.0)
    assert "lie outside the calibrated" in found.line()


def test_a_range_that_holds_everything_clips_nothing() -> None:
    found = drift_of([(0, grey(255))], RUN, table(image=Range(-9, 9, "minmax")), name="t")
    assert found.clipped_share == 0.0


def test_a_picture_on_its_own_levels_is_never_clipped() -> None:
    found = drift_of(
        [(0, grey(0)), (1, grey(255))], RUN, table(codes=Range(-2.0, 2.0, PIXELS)), name="t"
    )
    assert found.clipped_share == 0.0
    assert (found.input_low, found.input_high) == (0.0, 1.0)


def test_what_the_table_does_not_hold_is_said_to_be_unknown() -> None:
    found = drift_of([(0, grey(9))], RUN, table(other=Range(0, 1, "minmax")), name="t")
    assert found.clipped_share is None
    assert "the table has no range of the network's input" in found.line()
    assert "confidence: not recorded when the table was made" in found.line()
    assert found.to_dict()["confidence"] is None


def test_a_session_less_sure_than_calibration_was_is_said_to_have_shifted() -> None:
    seen = replace(table(image=Range(-9, 9, "minmax")), confidences=(0.9, 0.92, 0.94, 0.96) * 10)
    run = replace(RUN, confidences=(0.5, 0.52, 0.54, 0.56) * 10)
    found = drift_of([(0, grey(9))], run, seen, name="t")
    assert "shifted" in found.line()
    assert found.to_dict()["confidence"]["shift"] == pytest.approx(-0.4)
    unkept = drift_of([(0, grey(9))], RUN, seen, name="t")
    assert "no answers of single frames were kept" in unkept.line()


def test_the_engine_made_from_the_table_is_looked_for(tmp_path: Path) -> None:
    made = table(image=Range(-9, 9, "minmax"))
    (tmp_path / "t.json").write_text(made.to_json())
    with open_recorder(tmp_path / "s", mib=1, camera="test://") as recorder:
        recorder.put_frame(noise(0))
    recording = read_recording(tmp_path / "s")
    contracts = (CONTRACT, CONTRACT.with_changes(calibration=made.digest))
    engines = [EngineRun("fp32", contracts[0], ()), EngineRun("int8", contracts[1], ())]
    assert drift_of_session(recording, engines, tmp_path / "t.json").frames == 1
    with pytest.raises(StaleError, match="is not the calibration table of fp32"):
        drift_of_session(recording, engines[:1], tmp_path / "t.json")


def test_a_file_that_is_no_table_is_refused(tmp_path: Path) -> None:
    with open_recorder(tmp_path / "s", mib=1, camera="test://") as recorder:
        recorder.put_frame(noise(0))
    recording = read_recording(tmp_path / "s")
    (tmp_path / "t.json").write_text("{}")
    with pytest.raises(CalibrationError):
        drift_of_session(recording, [RUN], tmp_path / "t.json")
    with pytest.raises(InputError, match="cannot be read"):
        drift_of_session(recording, [RUN], tmp_path / "none.json")
