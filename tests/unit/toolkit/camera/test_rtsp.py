from __future__ import annotations

import socket
import threading
import time

import numpy as np
import pytest

from benchmarks.time_bars import time_from_bars
from tests.unit.toolkit.camera.gstreamer_here import need_rtsp_server
from tests.unit.toolkit.camera.rtsp_servers import rtsp_server
from toolkit.camera import Camera, Frame, Status, open_camera
from toolkit.errors import CameraError


@pytest.fixture(autouse=True)
def _server_can_run() -> None:
    need_rtsp_server()


def next_frame(camera: Camera, within_s: float = 8.0) -> Frame:
    deadline = time.monotonic() + within_s
    while time.monotonic() < deadline:
        if isinstance(got := camera.read(0.1), Frame):
            return got
        assert got is Status.TIMED_OUT
    raise AssertionError("no frame came")


def test_a_slow_reader_gets_young_pictures_and_the_age_we_report_is_true() -> None:
    true_ms, errors_ms = [], []
    with rtsp_server() as server, open_camera(server.uri) as camera:
        for i in range(40):
            frame = next_frame(camera)
            now = time.monotonic()
            burned_s = time_from_bars(frame.image, now)
            assert burned_s is not None
            if i >= 5:
                true_ms.append((now - burned_s) * 1e3)
                errors_ms.append((burned_s - frame.captured_at_s) * 1e3)
            time.sleep(0.08)  # a slow engine: a queue would be two seconds behind by now
    assert frame.image.shape == (480, 640, 3)
    assert frame.origin == "arrival"
    assert np.median(true_ms) < 150
    assert np.median(np.abs(errors_ms)) < 33.3


def test_the_age_is_true_without_a_relay_too(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise ConnectionError("a server that knows itself by its own name only")

    monkeypatch.setattr("toolkit.camera.rtsp.RtspRelay", refuse)
    errors_ms = []
    with rtsp_server() as server, open_camera(server.uri) as camera:
        for _ in range(30):
            frame = next_frame(camera)
            burned_s = time_from_bars(frame.image, time.monotonic())
            assert burned_s is not None
            errors_ms.append((burned_s - frame.captured_at_s) * 1e3)
    assert np.median(np.abs(errors_ms)) < 33.3


def test_a_server_that_is_killed_and_restarted_in_another_size_is_found_again() -> None:
    with rtsp_server() as first:
        context = open_camera(first.uri)
        camera = context.__enter__()
        next_frame(camera)
        first.kill()
    while isinstance(camera.read(0.3), Frame):  # what was under way when it died
        pass
    with rtsp_server("--size", "384x240", port=first.port):
        after = next_frame(camera)
        assert after.image.shape == (240, 384, 3)
        assert time.monotonic() - after.captured_at_s < 1.0
        context.__exit__(None, None, None)


def test_a_resolution_that_changes_is_seen_as_it_is() -> None:
    shapes = []
    with rtsp_server("--becomes", "384x240") as server, open_camera(server.uri) as camera:
        deadline = time.monotonic() + 10
        while (240, 384, 3) not in shapes and time.monotonic() < deadline:
            frame = next_frame(camera)
            if frame.image.shape not in shapes:
                shapes.append(frame.image.shape)
    assert shapes == [(480, 640, 3), (240, 384, 3)]


def test_a_sender_that_falls_silent_is_a_time_out_at_once() -> None:
    with rtsp_server("--silent-after", "30") as server, open_camera(server.uri) as camera:
        while isinstance(got := camera.read(0.5), Frame):
            pass
        assert got is Status.TIMED_OUT
        began = time.monotonic()
    assert time.monotonic() - began < 2.0


def test_a_wrong_password_is_refused_and_not_shown(capfd: pytest.CaptureFixture[str]) -> None:
    with rtsp_server("--login", "ann:right") as server:
        with pytest.raises(CameraError, match=r"refuses the user name or password \(401\)") as info:
            open_camera(server.with_login("ann:wr%40ng-secret")).__enter__()
        with pytest.raises(CameraError, match=r"refuses the user name or password \(401\)"):
            open_camera(server.uri).__enter__()
    told = f"{info.value.message} {info.value.next_command} {''.join(capfd.readouterr())}"
    assert "secret" not in told
    assert "ann:***@127.0.0.1" in told


def test_the_right_password_opens_the_stream(capfd: pytest.CaptureFixture[str]) -> None:
    with (
        rtsp_server("--login", "ann:right") as server,
        open_camera(server.with_login("ann:right")) as camera,
    ):
        assert next_frame(camera).image.shape == (480, 640, 3)
        assert camera.uri == server.with_login("ann:***")
    assert "right" not in "".join(capfd.readouterr())


def test_a_stream_that_the_server_does_not_have_is_an_error() -> None:
    with rtsp_server() as server, pytest.raises(CameraError, match="answers 404 Not Found"):
        open_camera(f"{server.uri}s").__enter__()


def test_nobody_at_the_address_is_an_error() -> None:
    with rtsp_server() as server:
        uri = server.uri
    with pytest.raises(CameraError, match=r"cannot be reached: .*refused"):
        open_camera(uri).__enter__()


def test_a_password_with_a_bare_slash_is_refused_without_showing_it() -> None:
    with pytest.raises(CameraError) as info:
        open_camera("rtsp://ann:top/secret@127.0.0.1/stream").__enter__()
    assert "top" not in info.value.message
    assert "%2F" in info.value.message


def test_a_server_of_something_else_is_an_error() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def answer() -> None:
            with listener.accept()[0] as connection:
                connection.recv(1000)
                connection.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")

        threading.Thread(target=answer, daemon=True).start()
        with pytest.raises(CameraError, match="does not speak RTSP"):
            open_camera(f"rtsp://127.0.0.1:{listener.getsockname()[1]}/stream").__enter__()
