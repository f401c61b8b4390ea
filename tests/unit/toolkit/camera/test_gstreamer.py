from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from tests.unit.toolkit.camera.gstreamer_here import need_gstreamer
from toolkit.camera import Frame, Status, gstreamer, open_camera
from toolkit.errors import CameraError, MissingDependencyError

SMALL = "video/x-raw,width=63,height=48"


@pytest.fixture
def _here() -> None:
    need_gstreamer()


@pytest.mark.usefixtures("_here")
def test_every_frame_of_a_recording_comes_when_nobody_hurries() -> None:
    uri = f"gst://videotestsrc num-buffers=6 pattern=red ! {SMALL}"
    with open_camera(uri, paced=False) as camera:
        frames = []
        while isinstance(got := camera.read(5.0), Frame):
            frames.append(got)
            time.sleep(0.02)
    assert got is Status.END
    assert [frame.index for frame in frames] == list(range(6))
    assert {frame.origin for frame in frames} == {"read"}
    assert frames[0].image.shape == (48, 63, 3)  # rows that GStreamer pads
    np.testing.assert_array_equal(frames[0].image[-1, -1], (0, 0, 255))


@pytest.mark.usefixtures("_here")
def test_a_live_source_gives_its_own_time_and_a_late_reader_the_newest_frame() -> None:
    uri = f"gst://videotestsrc is-live=true ! {SMALL},framerate=50/1"
    ages, indices = [], []
    with open_camera(uri) as camera:
        for _ in range(8):
            frame = camera.read(5.0)
            assert isinstance(frame, Frame)
            assert frame.origin == "gstreamer"
            ages.append(time.monotonic() - frame.captured_at_s)
            indices.append(frame.index)
            time.sleep(0.1)
    assert min(ages) >= 0
    assert np.median(ages) < 0.1  # a queue would have made it 0.4 s
    assert indices[-1] - indices[0] > 14


@pytest.mark.usefixtures("_here")
def test_grey_and_a_single_pixel_become_bgr() -> None:
    uri = (
        "gst://videotestsrc num-buffers=1 pattern=white ! video/x-raw,format=GRAY8,width=1,height=1"
    )
    with open_camera(uri, paced=False) as camera:
        frame = camera.read(5.0)
    assert isinstance(frame, Frame)
    assert frame.image.shape == (1, 1, 3)
    assert len(set(frame.image.flat)) == 1


@pytest.mark.usefixtures("_here")
@pytest.mark.parametrize(
    ("uri", "said"),
    [
        ("gst://nosuchsource", 'no element "nosuchsource"'),
        ("gst://videotestsrc ! ! x", "syntax error"),
        ("gst://filesrc location=/no/such/film ! decodebin", "not found"),
    ],
)
def test_a_pipeline_that_gives_nothing_is_one_clear_error(uri: str, said: str) -> None:
    with pytest.raises(CameraError, match=said) as info:
        open_camera(uri).__enter__()
    assert info.value.next_command


@pytest.mark.usefixtures("_here")
def test_a_pipeline_that_fails_later_says_why() -> None:
    uri = "gst://videotestsrc ! identity error-after=4"
    with open_camera(uri, paced=False) as camera, pytest.raises(CameraError, match="Failed after"):
        while True:
            assert isinstance(camera.read(5.0), Frame)


@pytest.mark.usefixtures("_here")
def test_a_process_that_dies_is_a_stream_cut_off() -> None:
    with open_camera("gst://videotestsrc is-live=true") as camera:
        assert isinstance(camera.read(5.0), Frame)
        subprocess.run(["kill", "-9", _child_of_this_process()], check=True)
        while isinstance(got := camera.read(5.0), Frame):
            pass
    assert got is Status.CUT_OFF


@pytest.mark.usefixtures("_here")
def test_a_password_in_a_pipeline_is_not_shown() -> None:
    uri = "gst://filesrc location=rtsp://ann:secret@127.0.0.1/x"
    with pytest.raises(CameraError) as info:
        open_camera(uri).__enter__()
    assert "secret" not in f"{info.value.message} {info.value.next_command}"


def test_a_csi_camera_needs_a_number() -> None:
    with pytest.raises(CameraError, match="names no sensor"):
        open_camera("csi://front").__enter__()


@pytest.mark.usefixtures("_here")
def test_a_csi_camera_on_another_machine_says_what_is_missing() -> None:
    asked = ["gst-inspect-1.0", "nvarguscamerasrc"]
    try:
        if subprocess.run(asked, capture_output=True, check=False).returncode == 0:
            pytest.skip("this is a Jetson")
    except FileNotFoundError:
        pass  # the tool is in another package
    with pytest.raises(CameraError, match="this is no Jetson"):
        open_camera("csi://0").__enter__()


def test_no_system_python_is_a_missing_dependency(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gstreamer, "SYSTEM_PYTHON", "/no/such/python3")
    with pytest.raises(MissingDependencyError, match="/no/such/python3 does not exist"):
        open_camera("gst://videotestsrc").__enter__()


def test_a_python_without_bindings_is_a_missing_dependency(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    python = tmp_path / "python3"
    python.write_text(f'#!/bin/sh\nexec {sys.executable} -S "$@"\n')  # without site-packages
    python.chmod(0o755)
    monkeypatch.setattr(gstreamer, "SYSTEM_PYTHON", str(python))
    with pytest.raises(MissingDependencyError, match="needs GStreamer's bindings") as info:
        open_camera("gst://videotestsrc").__enter__()
    assert "python3-gi" in info.value.next_command


def _child_of_this_process() -> str:
    children = Path(f"/proc/{os.getpid()}/task/{os.getpid()}/children").read_text()
    for child in children.split():
        if "gstreamer_process" in Path(f"/proc/{child}/cmdline").read_text():
            return child
    raise AssertionError("no such process")
