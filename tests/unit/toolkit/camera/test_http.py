from __future__ import annotations

import io
import time
from collections.abc import Iterator

import numpy as np
import pytest
from PIL import Image

from tests.unit.toolkit.camera.mjpeg_server import (
    MjpegServer,
    closing,
    jpeg,
    part,
    read_values,
    serving,
    showing,
)
from toolkit.camera import Camera, Frame, Status, open_camera
from toolkit.errors import CameraError


def next_frame(camera: Camera, within_s: float = 10.0) -> Frame:
    deadline = time.monotonic() + within_s
    while time.monotonic() < deadline:
        got = camera.read(0.1)
        if isinstance(got, Frame):
            return got
        assert got is Status.TIMED_OUT
    raise AssertionError("no frame came")


def until_the_end(camera: Camera) -> list[Frame | Status]:
    got: list[Frame | Status] = []
    while (found := camera.read(5.0)) is not Status.END:
        got.append(found)
    return got


@pytest.mark.parametrize("length", [True, False], ids=["with length", "without length"])
def test_pictures_come_as_bgr_with_the_time_they_arrived(length: bool) -> None:
    began = time.monotonic()
    server = MjpegServer(showing([0, 50, 100], 0.05, length=length))
    with serving(server), open_camera(server.uri) as camera:
        got = until_the_end(camera)
    assert server.requests == ["/stream?camera=1"]
    frames = [found for found in got if isinstance(found, Frame)]
    assert read_values(frames[-1].image) == pytest.approx(100, abs=4)
    for frame in frames:
        assert frame.image.shape == (48, 64, 3)
        assert frame.origin == "arrival"
        assert read_values(frame.image) == pytest.approx(50 * frame.index, abs=4)
        assert began < frame.captured_at_s < time.monotonic()


def test_a_slow_reader_gets_the_newest_picture_and_no_lag_grows() -> None:
    sent_at: list[float] = []

    def script() -> Iterator[bytes | float]:
        for i in range(120):
            sent_at.append(time.monotonic())
            yield part(jpeg(2 * i))
            yield 0.005
        yield closing()

    ages, errors = [], []
    with serving(MjpegServer(script)) as server, open_camera(server.uri) as camera:
        while (found := camera.read(5.0)) is not Status.END:
            assert isinstance(found, Frame)
            ages.append(time.monotonic() - sent_at[found.index])
            errors.append(found.captured_at_s - sent_at[found.index])
            time.sleep(0.06)  # a slow engine
    assert len(ages) < 60
    assert np.median(ages) < 0.05  # a queue would have made it half a second
    assert np.median(np.abs(errors)) < 0.02  # the age we report is true


def test_damaged_and_empty_pictures_are_states() -> None:
    whole = jpeg(100)
    bomb = bytearray(whole)
    at = bomb.find(b"\xff\xc0") + 5
    bomb[at : at + 4] = b"\xff\xff\xff\xff"  # claims 65535 x 65535 pixels

    def script() -> Iterator[bytes | float]:
        for body in (whole[:-200], b"", b"not a picture\xff\xd9", bytes(bomb), whole):
            yield part(body)
            yield 0.1
        yield closing()

    with serving(MjpegServer(script)) as server, open_camera(server.uri) as camera:
        got = until_the_end(camera)
    assert got[:-1] == [Status.DAMAGED] * 4
    assert isinstance(got[-1], Frame)


def test_grey_pictures_and_a_resolution_change_are_no_event() -> None:
    grey = io.BytesIO()
    Image.new("L", (40, 30), 77).save(grey, "JPEG")

    def script() -> Iterator[bytes | float]:
        for body in (jpeg(0), grey.getvalue(), jpeg(0, (1, 1)), jpeg(0, (1080, 1920))):
            yield part(body)
            yield 0.1
        yield closing()

    with serving(MjpegServer(script)) as server, open_camera(server.uri) as camera:
        shapes = [found.image.shape for found in until_the_end(camera) if isinstance(found, Frame)]
    assert shapes == [(48, 64, 3), (30, 40, 3), (1, 1, 3), (1080, 1920, 3)]


def test_a_server_that_is_killed_and_restarted_is_found_again() -> None:
    def script() -> Iterator[bytes | float]:
        while True:
            yield part(jpeg(10))
            yield 0.02

    first = MjpegServer(script)
    with serving(first):
        context = open_camera(first.uri)
        camera = context.__enter__()
        next_frame(camera)
    while isinstance(camera.read(0.2), Frame):  # what was under way when it died
        pass
    with serving(MjpegServer(script, port=first.server_port)):
        after = next_frame(camera)
        assert time.monotonic() - after.captured_at_s < 1.0
        context.__exit__(None, None, None)


def test_a_connection_that_breaks_is_opened_again() -> None:
    turns = iter([[10], [20], [30]])

    def script() -> Iterator[bytes | float]:
        for value in next(turns):
            yield part(jpeg(value))
        yield 0.05  # and the connection ends without the closing boundary

    with serving(MjpegServer(script)) as server, open_camera(server.uri) as camera:
        values = [read_values(next_frame(camera).image) for _ in range(3)]
    assert values == pytest.approx([10, 20, 30], abs=4)


def test_a_wrong_password_is_refused_and_not_shown() -> None:
    with serving(MjpegServer(showing([1]), login="ann:right")) as server:
        uri = server.uri.replace("://", "://ann:wr%40ng-secret@")
        with pytest.raises(CameraError, match=r"refuses the user name or password \(401\)") as info:
            open_camera(uri).__enter__()
    told = f"{info.value.message} {info.value.next_command}"
    assert "secret" not in told
    assert "ann:***@127.0.0.1" in told


def test_the_right_password_opens_the_stream() -> None:
    with serving(MjpegServer(showing([80], 0.05), login="ann:p@ss/word")) as server:
        uri = server.uri.replace("://", "://ann:p%40ss%2Fword@")
        with open_camera(uri) as camera:
            assert read_values(next_frame(camera).image) == pytest.approx(80, abs=4)
            assert "p%40ss" not in camera.uri


def test_a_password_with_a_bare_slash_is_refused_without_showing_it() -> None:
    with pytest.raises(CameraError) as info:
        open_camera("http://ann:top/secret@127.0.0.1/stream").__enter__()
    assert "top" not in info.value.message
    assert "secret" not in info.value.message
    assert "%2F" in info.value.message


def test_nobody_at_the_address_is_an_error() -> None:
    with serving(MjpegServer(showing([1]))) as server:
        uri = server.uri
    with pytest.raises(CameraError, match="cannot be reached"):
        open_camera(uri).__enter__()


def test_a_web_page_is_no_camera() -> None:
    server = MjpegServer(lambda: iter([b"<html>"]), content_type="text/html")
    with serving(server), pytest.raises(CameraError, match="it sends text/html"):
        open_camera(server.uri).__enter__()


def test_a_missing_stream_is_an_error() -> None:
    server = MjpegServer(showing([]), status=404)
    with serving(server), pytest.raises(CameraError, match="answers 404"):
        open_camera(server.uri).__enter__()


def test_the_end_of_the_camera_does_not_wait_for_the_network() -> None:
    def script() -> Iterator[bytes | float]:
        yield part(jpeg(1))
        yield 3.0

    with serving(MjpegServer(script)) as server:
        with open_camera(server.uri) as camera:
            next_frame(camera)
            assert camera.read(0.01) is Status.TIMED_OUT
            began = time.monotonic()
        assert time.monotonic() - began < 2.0
