from __future__ import annotations

import subprocess
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from toolkit.camera.clip import write_clip
from toolkit.errors import CameraError, MachineError


def grey(n: int, size: tuple[int, int] = (32, 48)) -> Iterator[NDArray[np.uint8]]:
    return (np.full((*size, 3), 100, np.uint8) for _ in range(n))


@pytest.mark.parametrize("suffix", [".avi", ".mp4"])
def test_the_number_of_pictures_is_returned(tmp_path: Path, suffix: str) -> None:
    assert write_clip(grey(7), tmp_path / f"clip{suffix}") == 7
    assert [path.name for path in tmp_path.iterdir()] == [f"clip{suffix}"]


@pytest.mark.parametrize("suffix", [".avi", ".mp4"])
def test_odd_sizes_can_be_written(tmp_path: Path, suffix: str) -> None:
    assert write_clip(grey(3, (33, 47)), tmp_path / f"clip{suffix}") == 3


def test_an_unknown_type_is_refused(tmp_path: Path) -> None:
    with pytest.raises(CameraError, match=r"no known video type: use \.avi or \.mp4"):
        write_clip(grey(1), tmp_path / "clip.gif")


def test_no_pictures_are_no_clip(tmp_path: Path) -> None:
    with pytest.raises(CameraError, match="no pictures to write"):
        write_clip(grey(0), tmp_path / "clip.avi")
    assert list(tmp_path.iterdir()) == []


def test_pictures_of_two_sizes_are_refused_and_the_old_clip_stays(tmp_path: Path) -> None:
    path = tmp_path / "clip.avi"
    path.write_bytes(b"old")
    with pytest.raises(CameraError, match="picture 2 is 20 x 10, the first was 48 x 32"):
        write_clip([*grey(2), *grey(1, (10, 20))], path)
    assert path.read_bytes() == b"old"
    assert [entry.name for entry in tmp_path.iterdir()] == ["clip.avi"]


def test_a_full_disk_leaves_no_half_clip(tmp_path: Path) -> None:
    program = textwrap.dedent(
        f"""
        import resource
        from pathlib import Path
        import numpy as np
        from toolkit.camera.clip import write_clip
        resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, 50_000))  # as a full disk would
        noise = np.random.default_rng(0).integers(0, 256, (200, 96, 128, 3), dtype=np.uint8)
        write_clip(noise, Path({str(tmp_path / "clip.avi")!r}))
        """
    )
    run = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert MachineError.__name__ in run.stderr
    assert "could not be written whole" in run.stderr
    assert list(tmp_path.iterdir()) == []
