"""The frame path runs on a double of the kernel's device; the errors are also met for real."""

from __future__ import annotations

import errno
import os
import time
from collections import deque
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.doubles.v4l2_device import Shot, V4l2Double, unplugged
from tests.unit.toolkit.camera.mjpeg_server import jpeg
from toolkit.camera import Frame, Status, open_camera, v4l2
from toolkit.camera import v4l2_ioctl as layout
from toolkit.errors import CameraError

URI = "v4l2:///dev/video0?width=64&height=48"
Plug = Callable[..., V4l2Double]


@pytest.fixture
def plug(monkeypatch: pytest.MonkeyPatch) -> Plug:
    """Put a double in the place of /dev/video0."""

    def put(*shots: Shot, **traits: object) -> V4l2Double:
        device = V4l2Double(deque(shots), **traits)  # type: ignore[arg-type] # passed on
        monkeypatch.setattr(v4l2, "open_device", lambda _: device)
        return device

    return put


def yuyv(luma: int, *, width: int = 64, height: int = 48, padding: int = 0) -> bytes:
    row = bytes([luma, 128] * width) + bytes(padding)
    return row * height


def test_mjpg_pictures_come_with_the_drivers_time(plug: Plug) -> None:
    device = plug(Shot(jpeg(200), 12.5, 7), Shot(jpeg(90) + bytes(100), 12.6, 9))
    with open_camera(URI) as camera:
        first, second = camera.read(1.0), camera.read(1.0)
        assert camera.read(0.0) is Status.TIMED_OUT
    assert isinstance(first, Frame)
    assert isinstance(second, Frame)
    assert first.image.shape == (48, 64, 3)
    assert int(first.image[20, 20, 2]) == pytest.approx(200, abs=4)
    assert (first.captured_at_s, first.origin, first.index) == (12.5, "driver", 0)
    assert (second.captured_at_s, second.index) == (12.6, 2)  # the driver lost one
    assert device.closed
    assert not device.streams


@pytest.mark.parametrize("padding", [0, 32])
def test_yuyv_rows_may_be_padded(plug: Plug, padding: int) -> None:
    body = yuyv(235, padding=padding)
    plug(Shot(body), formats=("YUYV",), padding=padding)
    with open_camera(URI) as camera:
        frame = camera.read(1.0)
    assert isinstance(frame, Frame)
    assert frame.image.shape == (48, 64, 3)
    assert (frame.image == 255).all()


def test_the_start_of_exposure_is_told_from_the_end_of_the_transfer(plug: Plug) -> None:
    flags = layout.FLAG_CLOCK_MONOTONIC | layout.FLAG_SOURCE_EXPOSURE
    plug(Shot(jpeg(0), 3.0, flags=flags))
    with open_camera(URI) as camera:
        frame = camera.read(1.0)
    assert isinstance(frame, Frame)
    assert frame.origin == "exposure"


def test_a_time_on_another_clock_is_not_trusted(plug: Plug) -> None:
    plug(Shot(jpeg(0), 1_700_000_000.0, flags=0))
    before = time.monotonic()
    with open_camera(URI) as camera:
        frame = camera.read(1.0)
    assert isinstance(frame, Frame)
    assert frame.origin == "read"
    assert before <= frame.captured_at_s <= time.monotonic()


def test_a_late_reader_gets_the_newest_frame(plug: Plug) -> None:
    shots = [Shot(jpeg(40 * i), float(i), i) for i in range(4)]
    plug(*shots, at_once=True)
    with open_camera(URI) as camera:
        frame = camera.read(1.0)
    assert isinstance(frame, Frame)
    assert frame.captured_at_s == 3.0


def test_damaged_empty_and_short_frames_are_states(plug: Plug) -> None:
    bad = layout.FLAG_ERROR | layout.FLAG_CLOCK_MONOTONIC
    damaged = (Shot(jpeg(0), flags=bad), Shot(), Shot(jpeg(0)[:-200]), Shot(error=errno.EIO))
    plug(*damaged, Shot(jpeg(0)))
    with open_camera(URI) as camera:
        assert [camera.read(1.0) for _ in damaged] == [Status.DAMAGED] * 4
        assert isinstance(camera.read(1.0), Frame)
    plug(Shot(yuyv(0)[:-1]), formats=("YUYV",))
    with open_camera(URI) as camera:
        assert camera.read(1.0) is Status.DAMAGED


def test_pulling_the_plug_is_a_state(plug: Plug) -> None:
    plug(Shot(jpeg(0)), unplugged(), unplugged())
    with open_camera(URI) as camera:
        assert isinstance(camera.read(1.0), Frame)
        assert camera.read(1.0) is Status.UNPLUGGED
        assert camera.read(1.0) is Status.UNPLUGGED


@pytest.mark.parametrize(
    "request_", ["VIDIOC_S_FMT", "VIDIOC_REQBUFS", "VIDIOC_STREAMON"], ids=lambda name: name[7:]
)
def test_a_busy_camera_is_an_error_that_names_who_to_ask(plug: Plug, request_: str) -> None:
    device = plug(fails={request_: errno.EBUSY})
    with pytest.raises(CameraError, match="in use by another program") as info:
        open_camera(URI).__enter__()
    assert info.value.next_command == "fuser --verbose /dev/video0"
    assert device.closed


def test_no_permission_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(_: str) -> V4l2Double:
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))

    monkeypatch.setattr(v4l2, "open_device", refuse)
    with pytest.raises(CameraError, match="may not be opened by you") as info:
        open_camera(URI).__enter__()
    assert "video" in info.value.next_command


def test_a_metadata_device_is_no_camera(plug: Plug) -> None:
    plug(capabilities=layout.CAP_STREAMING)
    with pytest.raises(CameraError, match=r"\(Double\) streams no pictures"):
        open_camera(URI).__enter__()


def test_a_size_the_camera_lacks_is_refused_with_the_nearest(plug: Plug) -> None:
    plug(size=(320, 240))
    with pytest.raises(CameraError, match="no 64 x 48 pictures, the nearest are 320 x 240"):
        open_camera(URI).__enter__()


def test_a_camera_without_our_formats_is_refused(plug: Plug) -> None:
    plug(formats=())
    with pytest.raises(CameraError, match="neither MJPG nor YUYV"):
        open_camera(URI).__enter__()
    plug(formats=("MJPG",))
    with pytest.raises(CameraError, match="neither YUYV at"):
        open_camera(f"{URI}&format=yuyv").__enter__()
    with pytest.raises(CameraError, match="format=H264 is not one of"):
        open_camera(f"{URI}&format=h264").__enter__()


def test_the_rate_is_asked_for(plug: Plug) -> None:
    device = plug()
    with open_camera(f"{URI}&fps=15"):
        assert device.rate == (1, 15)
    plug(fails={"VIDIOC_S_PARM": errno.ENOTTY})
    with pytest.raises(CameraError, match="frame rate cannot be set"):
        open_camera(f"{URI}&fps=15").__enter__()


def test_a_picture_of_one_pixel_is_a_picture(plug: Plug) -> None:
    plug(Shot(jpeg(0, (1, 1))))
    with open_camera("v4l2:///dev/video0") as camera:
        frame = camera.read(1.0)
    assert isinstance(frame, Frame)
    assert frame.image.shape == (1, 1, 3)


@pytest.mark.parametrize(
    ("path", "said"),
    [
        ("/dev/no-such-camera", "no camera is plugged in there"),
        ("/dev/null", "is no V4L2 camera"),
        ("/dev", "is a folder"),
    ],
)
def test_a_real_file_that_is_no_camera_is_an_error(path: str, said: str) -> None:
    with pytest.raises(CameraError, match=said):
        open_camera(f"v4l2://{path}").__enter__()


def test_an_ordinary_file_is_no_camera(tmp_path: Path) -> None:
    (tmp_path / "film").write_bytes(b"x")
    with pytest.raises(CameraError, match="is no V4L2 camera"):
        open_camera(f"v4l2://{tmp_path / 'film'}").__enter__()
