"""What every row of CAMERAS promises."""

from __future__ import annotations

import subprocess
import sys
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from unittest import mock

import numpy as np
import pytest
from PIL import Image

from tests.doubles.v4l2_device import Shot, V4l2Double, unplugged
from tests.unit.toolkit.camera.gstreamer_here import need_gstreamer, need_rtsp_server
from tests.unit.toolkit.camera.mjpeg_server import MjpegServer, jpeg, serving, showing
from tests.unit.toolkit.camera.rtsp_servers import rtsp_server
from toolkit.camera import CAMERAS, ORIGINS, Frame, Status, open_camera
from toolkit.errors import CameraError


def file_uri(folder: Path) -> str:
    from toolkit.camera.clip import write_clip

    write_clip((np.full((48, 64, 3), 30 * i, np.uint8) for i in range(4)), folder / "clip.avi")
    return f"file://{folder / 'clip.avi'}"


def images_uri(folder: Path) -> str:
    for i in range(4):
        Image.new("RGB", (64, 48), (30 * i, 0, 0)).save(folder / f"{i}.png")
    return f"images://{folder}"


def replay_uri(folder: Path) -> str:
    from toolkit.recording.recorder import open_recorder

    with open_recorder(folder / "session", mib=1, camera="synthetic://64x48") as recorder:
        for i in range(4):
            image = np.full((48, 64, 3), 30 * i, np.uint8)
            recorder.put_frame(Frame(image, i, time.monotonic(), "driver"))
            time.sleep(0.02)
    return f"replay://{folder / 'session'}"


def synthetic_uri(_: Path) -> str:
    return "synthetic://64x48?frames=4"


@contextmanager
def local(uri: str) -> Iterator[str]:
    yield uri


@contextmanager
def http_uri(_: Path) -> Iterator[str]:
    with serving(MjpegServer(showing([0, 30, 60, 90], 0.2))) as server:
        yield server.uri


@contextmanager
def gst_uri(_: Path) -> Iterator[str]:
    need_gstreamer()
    yield "gst://videotestsrc num-buffers=4 ! video/x-raw,width=64,height=48,framerate=30/1"


@contextmanager
def csi_uri(_: Path) -> Iterator[str]:
    need_gstreamer()
    source = "videotestsrc num-buffers=4 ! video/x-raw,width=64,height=48,framerate=1/2"
    with mock.patch("toolkit.camera.gstreamer.CSI", source):  # no Jetson's sensor is here
        yield "csi://0"


@contextmanager
def rtsp_uri(_: Path) -> Iterator[str]:
    need_rtsp_server()
    with rtsp_server("--size", "384x48", "--fps", "5") as server:
        yield server.uri


@contextmanager
def v4l2_uri(_: Path) -> Iterator[str]:
    """A double of the kernel's device: no camera can be plugged in by software."""
    began = time.monotonic()
    shots = [Shot(jpeg(30 * i), began + i * 1e-6, i) for i in range(4)]
    device = V4l2Double(deque([*shots, unplugged(), unplugged()]), pause_s=0.08)
    with mock.patch("toolkit.camera.v4l2.open_device", lambda _: device):
        yield "v4l2:///dev/video0?width=64&height=48"


WORKING: dict[str, Callable[[Path], AbstractContextManager[str]]] = {
    "csi": csi_uri,
    "file": lambda folder: local(file_uri(folder)),
    "gst": gst_uri,
    "http": http_uri,
    "images": lambda folder: local(images_uri(folder)),
    "replay": lambda folder: local(replay_uri(folder)),
    "rtsp": rtsp_uri,
    "synthetic": lambda folder: local(synthetic_uri(folder)),
    "v4l2": v4l2_uri,
}
"""A URI of four frames for every scheme; a new camera needs a row here."""

ONLY_NEWEST = {"http", "rtsp"}
"""Cameras that pass over pictures when they are not read in time."""

ENDLESS = {"rtsp"}
"""Cameras that go on: a server that is gone may come back."""

AFTER = {"v4l2": Status.UNPLUGGED}
"""What follows the last frame where it is not END."""

OWN_OPTIONS = sorted(CAMERAS.keys() - {"gst", "http", "rtsp"})
"""Cameras whose options are ours; those of a URL or a pipeline belong to it."""


def test_every_camera_is_tested_here() -> None:
    assert WORKING.keys() == CAMERAS.keys()


@pytest.mark.parametrize("scheme", sorted(CAMERAS))
def test_frames_are_bgr_pictures_with_a_timestamp_of_known_origin(
    scheme: str, tmp_path: Path
) -> None:
    began = time.monotonic()
    frames = []
    with WORKING[scheme](tmp_path) as uri, open_camera(uri, paced=False) as camera:
        while isinstance(frame := camera.read(5.0), Frame):
            frames.append(frame)
            if scheme in ENDLESS and len(frames) == 4:
                break
        else:
            assert frame is AFTER.get(scheme, Status.END)
            assert camera.read(0.09) is frame  # asking again changes nothing
            assert frames[-1].index == 3
    indices = [frame.index for frame in frames]
    assert indices == sorted(set(indices))
    assert len(indices) == 4 or scheme in ONLY_NEWEST
    for frame in frames:
        assert frame.image.shape == (48, 384 if scheme == "rtsp" else 64, 3)
        assert frame.image.dtype == np.uint8
        assert frame.image.flags.c_contiguous
        assert frame.origin in ORIGINS
        assert began <= frame.captured_at_s <= time.monotonic()
    assert [f.captured_at_s for f in frames] == sorted(f.captured_at_s for f in frames)


@pytest.mark.parametrize("scheme", sorted(CAMERAS))
def test_a_frame_does_not_change_when_the_next_is_read(scheme: str, tmp_path: Path) -> None:
    with WORKING[scheme](tmp_path) as uri, open_camera(uri, paced=False) as camera:
        first = camera.read(5.0)
        assert isinstance(first, Frame)
        before = first.image.copy()
        camera.read(5.0)
        camera.read(5.0)
    np.testing.assert_array_equal(first.image, before)


@pytest.mark.parametrize("scheme", sorted(CAMERAS))
def test_a_read_returns_within_its_time_out(scheme: str, tmp_path: Path) -> None:
    with WORKING[scheme](tmp_path) as uri:
        slow = uri.replace("64x48", "64x48@0.5") if scheme == "synthetic" else uri
        slow += "?fps=0.5" if scheme in ("file", "images") else ""
        slow += "?speed=0.01" if scheme == "replay" else ""
        slow = slow.replace("30/1", "1/2")
        with open_camera(slow) as camera:
            assert isinstance(camera.read(5.0), Frame)
            began = time.monotonic()
            assert camera.read(0.05) is Status.TIMED_OUT
            assert time.monotonic() - began < 1.0


@pytest.mark.parametrize("scheme", OWN_OPTIONS)
def test_an_unknown_option_is_refused(scheme: str, tmp_path: Path) -> None:
    with (
        WORKING[scheme](tmp_path) as uri,
        pytest.raises(CameraError, match="has no option 'colour'"),
    ):
        open_camera(uri + ("&" if "?" in uri else "?") + "colour=red").__enter__()


@pytest.mark.parametrize("scheme", sorted(CAMERAS))
def test_a_nonsense_target_is_one_clear_error(scheme: str) -> None:
    with pytest.raises(CameraError) as caught:
        open_camera(f"{scheme}:///no/such/thing").__enter__()
    assert caught.value.next_command


def test_the_table_can_be_read_without_opencv() -> None:
    program = "import toolkit.camera, sys; assert 'cv2' not in sys.modules"
    subprocess.run([sys.executable, "-c", program], check=True)
