from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from toolkit.camera import Frame, Status, open_camera
from toolkit.clock import VirtualClock
from toolkit.errors import CameraError


def save(path: Path, colour: int | tuple[int, ...], size: tuple[int, int] = (6, 4)) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    mode = {1: "L", 3: "RGB", 4: "RGBA"}[1 if isinstance(colour, int) else len(colour)]
    Image.new(mode, size, colour).save(path)


def read_all(uri: str) -> list[Frame | Status]:
    got: list[Frame | Status] = []
    with open_camera(uri, paced=False) as camera:
        while not (isinstance(found := camera.read(1.0), Status) and found.final):
            got.append(found)
    return got


def test_a_folder_is_shown_in_order_of_path_with_its_subfolders(tmp_path: Path) -> None:
    for value, name in enumerate(["b/0.png", "a/1.png", "a/0.png", "note.txt"]):
        if name.endswith("png"):
            save(tmp_path / name, (value, 0, 0))
        else:
            (tmp_path / name).write_text("not a picture")
    got = read_all(f"images://{tmp_path}")
    reds = [found.image[0, 0, 2] for found in got if isinstance(found, Frame)]
    assert reds == [2, 1, 0]  # a/0, a/1, b/0
    assert [found.index for found in got if isinstance(found, Frame)] == [0, 1, 2]


def test_pictures_are_bgr_with_grey_repeated_and_transparency_dropped(tmp_path: Path) -> None:
    save(tmp_path / "0.png", (10, 20, 30))
    save(tmp_path / "1.png", 7)
    save(tmp_path / "2.png", (10, 20, 30, 40), (3, 3))
    pixels = []
    for found in read_all(f"images://{tmp_path}"):
        assert isinstance(found, Frame)
        assert found.image.flags.c_contiguous
        assert found.image.dtype == np.uint8
        assert found.origin == "read"
        pixels.append(found.image[0, 0].tolist())
    assert pixels == [[30, 20, 10], [7, 7, 7], [30, 20, 10]]


def test_a_damaged_picture_is_a_state_and_the_next_one_follows(tmp_path: Path) -> None:
    save(tmp_path / "0.png", (1, 1, 1))
    whole = (tmp_path / "0.png").read_bytes()
    (tmp_path / "1.png").write_bytes(whole[: len(whole) // 2])
    (tmp_path / "2.png").write_bytes(b"")
    save(tmp_path / "3.png", (4, 4, 4))
    got = read_all(f"images://{tmp_path}")
    assert got[1:3] == [Status.DAMAGED, Status.DAMAGED]
    assert isinstance(got[3], Frame)
    assert got[3].index == 3


def test_a_list_names_pictures_relative_to_itself(tmp_path: Path) -> None:
    save(tmp_path / "pictures" / "x.png", (5, 5, 5))
    (tmp_path / "list.txt").write_text("pictures/x.png\n\npictures/gone.png\npictures/x.png\n")
    got = read_all(f"images://{tmp_path}/list.txt")
    assert [isinstance(found, Frame) for found in got] == [True, False, True]


def test_one_picture_can_be_looped(tmp_path: Path) -> None:
    save(tmp_path / "x.png", (5, 5, 5))
    with open_camera(f"images://{tmp_path}/x.png?loop=1", paced=False) as camera:
        indices = [f.index for _ in range(5) if isinstance(f := camera.read(1.0), Frame)]
    assert indices == [0, 1, 2, 3, 4]


def test_pictures_are_paced_at_the_asked_rate(tmp_path: Path) -> None:
    save(tmp_path / "x.png", (5, 5, 5))
    clock = VirtualClock()
    with open_camera(f"images://{tmp_path}?loop=1&fps=4", clock=clock, paced=False) as camera:
        for _ in range(9):
            assert isinstance(camera.read(1.0), Frame)
    assert clock() == pytest.approx(2.0)


def test_a_folder_without_pictures_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(CameraError, match="holds no pictures"):
        open_camera(f"images://{tmp_path}").__enter__()


def test_a_missing_folder_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(CameraError, match="does not exist"):
        open_camera(f"images://{tmp_path}/gone").__enter__()


def test_a_binary_file_is_no_list_of_paths(tmp_path: Path) -> None:
    (tmp_path / "model.engine").write_bytes(bytes(range(256)))
    with pytest.raises(CameraError, match="not a text file of paths"):
        open_camera(f"images://{tmp_path}/model.engine").__enter__()
