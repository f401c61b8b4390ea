from __future__ import annotations

import json
import time
from pathlib import Path

import numpy as np
import pytest

from tests.unit.toolkit.live.live_parts import AnsweringSession, ScriptedCamera, frame
from tests.unit.toolkit.results.test_results import result
from toolkit.camera import open_camera
from toolkit.camera.frame import Frame
from toolkit.errors import InputError, MachineError
from toolkit.live import run_live
from toolkit.recording import ANSWERS, read_recording
from toolkit.recording.recorder import Recorder, open_recorder


def noise(index: int, size: tuple[int, int] = (48, 64)) -> Frame:
    image = np.random.default_rng(index).integers(0, 256, (*size, 3), np.uint8)
    return Frame(image, index, 100.0 + index / 30, "driver")


def test_a_live_run_is_recorded_and_replays_the_same_pictures(tmp_path: Path) -> None:
    frames = [noise(i) for i in range(6)]
    with open_recorder(tmp_path / "s", mib=1, camera="test://") as recorder:
        camera = recorder.watch(ScriptedCamera(iter(frames)))
        run_live(AnsweringSession(), camera, policy="queue", warmup=0, sinks=[recorder])
    recording = read_recording(tmp_path / "s")
    assert recording.complete
    assert recording.camera == "test://"
    assert recording.seconds == pytest.approx(5 / 30)
    answers = [json.loads(line) for line in (tmp_path / "s" / ANSWERS).read_text().splitlines()]
    assert [answer["index"] for answer in answers] == list(range(6))
    assert answers[5]["top"][0]["label"] == "bee"
    with open_camera(f"replay://{tmp_path / 's'}", paced=False) as replayed:
        for given in frames:
            again = replayed.read(1.0)
            assert isinstance(again, Frame)
            np.testing.assert_array_equal(again.image, given.image)
    assert recorder.written == sum(
        path.stat().st_size for path in (tmp_path / "s").iterdir() if path.suffix != ".json"
    )


def test_a_recording_ends_at_its_size_and_the_run_goes_on(tmp_path: Path) -> None:
    with open_recorder(tmp_path / "s", mib=1, camera="test://") as recorder:
        for i in range(300):
            recorder.put_frame(noise(i))
            recorder.put(result(i))
        deadline = time.monotonic() + 10.0
        while not recorder.full and time.monotonic() < deadline:
            time.sleep(0.01)
    assert recorder.full
    assert recorder.written <= 2**20
    assert len(read_recording(tmp_path / "s").frames) == recorder.frames > 50
    assert "full" in recorder.line()
    assert recorder.to_dict()["full"] is True


def test_a_disk_that_is_too_slow_costs_frames_and_not_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("toolkit.recording.recorder._WAITING_BYTES", 100_000)
    monkeypatch.setattr(Recorder, "_write", lambda *_: time.sleep(0.05))
    with open_recorder(tmp_path / "s", mib=100, camera="test://") as recorder:
        began = time.monotonic()
        for i in range(100):
            recorder.put_frame(frame_of(10_000, i))
        assert time.monotonic() - began < 1.0
        assert 50 < recorder.lost <= 90


def frame_of(size: int, index: int) -> Frame:
    return Frame(np.zeros((1, size // 3, 3), np.uint8), index, float(index), "driver")


def test_a_folder_that_holds_something_is_refused(tmp_path: Path) -> None:
    (tmp_path / "holiday.jpg").touch()
    with pytest.raises(InputError, match="is not empty"):
        open_recorder(tmp_path, mib=1, camera="test://").__enter__()
    assert [path.name for path in tmp_path.iterdir()] == ["holiday.jpg"]


def test_a_place_that_cannot_be_written_is_an_error() -> None:
    with pytest.raises(MachineError, match="Nothing can be recorded"):
        open_recorder(Path("/proc/session"), mib=1, camera="test://").__enter__()


def test_a_full_disk_is_an_error_at_the_next_answer(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Recorder, "_write", refuse)
    with (
        pytest.raises(MachineError, match="No space left"),
        open_recorder(tmp_path / "s", mib=1, camera="test://") as recorder,
    ):
        recorder.put_frame(frame(0, 0.0))
        deadline = time.monotonic() + 10.0
        while time.monotonic() < deadline:
            recorder.put(result())
            time.sleep(0.01)
    assert json.loads((tmp_path / "s" / "recording.json").read_text())["complete"] is False
