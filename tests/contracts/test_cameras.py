"""What every row of CAMERAS promises."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.unit.toolkit.camera.mjpeg_server import MjpegServer, serving, showing
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


def synthetic_uri(_: Path) -> str:
    return "synthetic://64x48?frames=4"


@contextmanager
def local(uri: str) -> Iterator[str]:
    yield uri


@contextmanager
def http_uri(_: Path) -> Iterator[str]:
    with serving(MjpegServer(showing([0, 30, 60, 90], 0.2))) as server:
        yield server.uri


WORKING: dict[str, Callable[[Path], AbstractContextManager[str]]] = {
    "file": lambda folder: local(file_uri(folder)),
    "http": http_uri,
    "images": lambda folder: local(images_uri(folder)),
    "synthetic": lambda folder: local(synthetic_uri(folder)),
}
"""A URI of four frames for every scheme; a new camera needs a row here."""

ONLY_NEWEST = {"http"}
"""Cameras that pass over pictures when they are not read in time."""

OWN_OPTIONS = sorted(CAMERAS.keys() - {"http"})
"""Cameras whose options are ours; those of a URL belong to its server."""


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
        assert frame is Status.END
        assert camera.read(5.0) is Status.END  # asking again changes nothing
    indices = [frame.index for frame in frames]
    assert indices == sorted(set(indices))
    assert indices[-1] == 3
    assert len(indices) == 4 or scheme in ONLY_NEWEST
    for frame in frames:
        assert frame.image.shape == (48, 64, 3)
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
