from __future__ import annotations

import pytest

from toolkit.camera import open_camera
from toolkit.camera.uri import camera_uri
from toolkit.errors import CameraError


def test_a_uri_is_taken_apart() -> None:
    uri = camera_uri("FILE:///data/my%20clip.mp4?fps=10&loop=1")
    assert (uri.scheme, uri.target) == ("file", "/data/my clip.mp4")
    assert uri.options == {"fps": "10", "loop": "1"}


def test_a_plain_path_is_refused_with_the_uri_it_could_be() -> None:
    with pytest.raises(CameraError, match=r"'clip\.mp4' is not a camera URI") as caught:
        camera_uri("clip.mp4")
    assert caught.value.next_command.endswith("--camera file://clip.mp4")


def test_an_unknown_scheme_names_its_nearest() -> None:
    with pytest.raises(CameraError, match=r"Unknown camera fiel://; did you mean 'file'\?"):
        open_camera("fiel://clip.mp4").__enter__()


def test_an_unknown_option_names_its_nearest() -> None:
    with pytest.raises(CameraError, match=r"no option 'jiter'; did you mean 'jitter'\?"):
        open_camera("synthetic://8x8?jiter=5").__enter__()


@pytest.mark.parametrize("text", ["fast", "-1", "nan", "1e9", ""])
def test_an_option_that_is_no_sensible_number_is_refused(text: str) -> None:
    with pytest.raises(CameraError, match=rf"jitter={text} is not a number from 0 to"):
        open_camera(f"synthetic://8x8?jitter={text}").__enter__()
