from __future__ import annotations

import time
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from toolkit.camera import Frame, Status, open_camera
from toolkit.camera.clip import write_clip
from toolkit.clock import VirtualClock
from toolkit.errors import CameraError


def picture(value: int, size: tuple[int, int] = (48, 64)) -> NDArray[np.uint8]:
    return np.full((*size, 3), (value, 60, 200), np.uint8)


def clip(path: Path, n: int = 10, fps: float = 20.0) -> Path:
    write_clip((picture(20 * i) for i in range(n)), path, fps=fps)
    return path


def read_all(uri: str) -> tuple[list[Frame], Status]:
    got: list[Frame] = []
    with open_camera(uri, paced=False) as camera:
        while isinstance(found := camera.read(1.0), Frame):
            got.append(found)
    return got, found


@pytest.mark.parametrize("suffix", [".avi", ".mp4"])
def test_a_clip_comes_back_frame_by_frame_as_bgr(tmp_path: Path, suffix: str) -> None:
    got, status = read_all(f"file://{clip(tmp_path / f'clip{suffix}')}")
    assert status is Status.END
    assert [frame.index for frame in got] == list(range(10))
    for i, frame in enumerate(got):
        assert frame.image.shape == (48, 64, 3)
        np.testing.assert_allclose(frame.image[24, 32].astype(int), [200, 60, 20 * i], atol=6)


def test_a_paced_clip_keeps_its_own_rate_and_is_as_young_as_it_says(tmp_path: Path) -> None:
    clock = VirtualClock(7.0)
    path = clip(tmp_path / "clip.avi", fps=20.0)
    with open_camera(f"file://{path}", clock=clock) as camera:
        times = []
        while isinstance(frame := camera.read(1.0), Frame):
            assert frame.captured_at_s == clock()
            assert frame.origin == "read"
            times.append(frame.captured_at_s)
    np.testing.assert_allclose(np.diff(times), 0.05, rtol=1e-6)


def test_a_rate_in_the_uri_wins(tmp_path: Path) -> None:
    clock = VirtualClock()
    path = clip(tmp_path / "clip.avi", fps=20.0)
    with open_camera(f"file://{path}?fps=100", paced=False, clock=clock) as camera:
        while isinstance(camera.read(1.0), Frame):
            pass
    assert clock() == pytest.approx(0.09)


def test_a_looped_clip_goes_on_and_its_indices_count_on(tmp_path: Path) -> None:
    path = clip(tmp_path / "clip.avi", n=3)
    with open_camera(f"file://{path}?loop=1", paced=False) as camera:
        got = [frame for _ in range(8) if isinstance(frame := camera.read(1.0), Frame)]
    assert [frame.index for frame in got] == list(range(8))
    np.testing.assert_array_equal(got[0].image, got[6].image)


def test_a_clip_cut_off_in_the_middle_says_so(tmp_path: Path) -> None:
    whole = clip(tmp_path / "whole.avi", n=40).read_bytes()
    (tmp_path / "cut.avi").write_bytes(whole[: len(whole) // 2])
    got, status = read_all(f"file://{tmp_path}/cut.avi")
    assert status is Status.CUT_OFF
    assert 0 < len(got) < 40


def test_an_mp4_without_its_index_is_refused(tmp_path: Path) -> None:
    whole = clip(tmp_path / "whole.mp4", n=40).read_bytes()
    (tmp_path / "cut.mp4").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(CameraError, match="not a video that FFmpeg can read, or it was cut off"):
        open_camera(f"file://{tmp_path}/cut.mp4").__enter__()


def test_a_missing_file_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(CameraError, match="does not exist"):
        open_camera(f"file://{tmp_path}/gone.mp4").__enter__()


def test_an_empty_file_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "empty.mp4").touch()
    with pytest.raises(CameraError, match=r"empty \(0 bytes\)"):
        open_camera(f"file://{tmp_path}/empty.mp4").__enter__()


def test_a_text_file_is_not_a_video(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "note.mp4").write_text("hello\n" * 100)
    with pytest.raises(CameraError, match="not a video"):
        open_camera(f"file://{tmp_path}/note.mp4").__enter__()
    assert capfd.readouterr().err == ""  # one message, not FFmpeg's beside it


def test_a_folder_is_refused_with_the_camera_that_shows_it(tmp_path: Path) -> None:
    with pytest.raises(CameraError, match="is a folder") as caught:
        open_camera(f"file://{tmp_path}").__enter__()
    assert caught.value.next_command.endswith(f"--camera images://{tmp_path}")


def test_a_real_clock_paces_a_clip(tmp_path: Path) -> None:
    path = clip(tmp_path / "clip.avi", n=6, fps=50.0)
    began = time.monotonic()
    with open_camera(f"file://{path}") as camera:
        while isinstance(camera.read(1.0), Frame):
            pass
    assert 0.1 <= time.monotonic() - began < 2.0
