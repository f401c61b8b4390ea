from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from toolkit.camera import open_camera
from toolkit.camera.frame import Frame, Status
from toolkit.clock import VirtualClock
from toolkit.errors import CameraError
from toolkit.recording import FRAMES, RecordedFrame, read_recording
from toolkit.recording.recorder import open_recorder


def session(folder: Path, given_s: list[float], *, delay_s: float = 0.004) -> Path:
    """Record grey pictures that were handed over at these times, `delay_s` after their capture."""
    clock = VirtualClock()
    with open_recorder(folder, mib=1, camera="test://") as recorder:
        recorder._clock = clock
        for i, at_s in enumerate(given_s):
            clock.jump(at_s - clock())
            image = np.full((8, 8, 3), i, np.uint8)
            recorder.put_frame(Frame(image, i, at_s - delay_s, "gstreamer"))
    return folder


def test_frames_come_when_they_came_and_are_as_old_as_they_were(tmp_path: Path) -> None:
    folder = session(tmp_path / "s", [50.0, 50.033, 50.1])
    clock = VirtualClock(1000.0)
    with open_camera(f"replay://{folder}", clock=clock) as camera:
        for offset_s in (0.0, 0.033, 0.1):
            frame = camera.read(1.0)
            assert isinstance(frame, Frame)
            assert clock() == pytest.approx(1000.0 + offset_s)
            assert frame.captured_at_s == pytest.approx(clock() - 0.004)
            assert frame.origin == "gstreamer"
        assert camera.read(1.0) is Status.END


def test_speed_shortens_the_time_between_frames(tmp_path: Path) -> None:
    folder = session(tmp_path / "s", [0.0, 1.0])
    clock = VirtualClock()
    with open_camera(f"replay://{folder}?speed=4", clock=clock) as camera:
        camera.read(1.0)
        camera.read(1.0)
    assert clock() == pytest.approx(0.25)


def test_a_reader_that_comes_late_gets_one_old_frame_and_then_the_old_rhythm(
    tmp_path: Path,
) -> None:
    folder = session(tmp_path / "s", [0.0, 0.1, 0.2], delay_s=0.0)
    clock = VirtualClock()
    with open_camera(f"replay://{folder}", clock=clock) as camera:
        camera.read(1.0)
        clock.jump(0.5)
        second, third = camera.read(1.0), camera.read(1.0)
    assert isinstance(second, Frame)
    assert isinstance(third, Frame)
    assert second.captured_at_s == pytest.approx(0.1)
    assert third.captured_at_s == pytest.approx(0.6)


def test_without_pace_times_are_those_of_reading(tmp_path: Path) -> None:
    folder = session(tmp_path / "s", [0.0, 9.0])
    clock = VirtualClock(7.0)
    with open_camera(f"replay://{folder}", paced=False, clock=clock) as camera:
        frames = [camera.read(1.0), camera.read(1.0)]
    assert all(isinstance(f, Frame) and f.origin == "read" for f in frames)
    assert clock() == 7.0


def test_a_recording_that_was_killed_is_shown_and_ends_as_cut_off(tmp_path: Path) -> None:
    folder = session(tmp_path / "s", [0.0, 0.1, 0.2])
    head = json.loads((folder / "recording.json").read_text())
    (folder / "recording.json").write_text(json.dumps({**head, "complete": False}))
    text = (folder / FRAMES).read_text()
    (folder / FRAMES).write_text(text[:-20])  # the last line without its end
    with open_camera(f"replay://{folder}", paced=False) as camera:
        assert isinstance(camera.read(1.0), Frame)
        assert isinstance(camera.read(1.0), Frame)
        assert camera.read(1.0) is Status.CUT_OFF


def test_a_picture_that_is_gone_or_damaged_is_a_damaged_frame(tmp_path: Path) -> None:
    folder = session(tmp_path / "s", [0.0, 0.1, 0.2])
    (folder / "00000000.bmp").unlink()
    (folder / "00000001.bmp").write_bytes(b"BM")
    with open_camera(f"replay://{folder}", paced=False) as camera:
        assert camera.read(1.0) is Status.DAMAGED
        assert camera.read(1.0) is Status.DAMAGED
        assert isinstance(camera.read(1.0), Frame)


@pytest.mark.parametrize(
    ("file", "origin", "captured_s", "says"),
    [
        ("../../etc/passwd", "driver", 0.0, "outside the folder"),
        ("0.bmp", "moon", 0.0, "unknown origin: moon"),
        ("0.bmp", "driver", float("nan"), "no number"),
    ],
)
def test_a_recording_from_a_stranger_is_checked(
    tmp_path: Path, file: str, origin: str, captured_s: float, says: str
) -> None:
    folder = session(tmp_path / "s", [0.0])
    (folder / FRAMES).write_text(RecordedFrame(0, captured_s, 0.0, origin, file).line())
    with pytest.raises(CameraError, match=says):
        open_camera(f"replay://{folder}").__enter__()


@pytest.mark.parametrize("content", ["", "{}", '{"kind": "other", "version": 1}', "[1]"])
def test_a_folder_that_is_no_recording_is_refused(tmp_path: Path, content: str) -> None:
    (tmp_path / "recording.json").write_text(content)
    with pytest.raises(CameraError, match="is not a recording"):
        open_camera(f"replay://{tmp_path}").__enter__()


def test_a_recording_of_a_newer_version_is_refused(tmp_path: Path) -> None:
    folder = session(tmp_path / "s", [0.0])
    head = json.loads((folder / "recording.json").read_text())
    (folder / "recording.json").write_text(json.dumps({**head, "version": 99}))
    with pytest.raises(CameraError, match="newer Edgekit"):
        open_camera(f"replay://{folder}").__enter__()


def test_a_recording_without_frames_is_refused(tmp_path: Path) -> None:
    folder = session(tmp_path / "s", [])
    with pytest.raises(CameraError, match="holds no frames"):
        open_camera(f"replay://{folder}").__enter__()


def test_the_times_survive_the_disk_exactly(tmp_path: Path) -> None:
    folder = session(tmp_path / "s", [0.1, 0.2 + 1e-9])
    assert [frame.given_at_s for frame in read_recording(folder).frames] == [0.1, 0.2 + 1e-9]
