from __future__ import annotations

from collections.abc import Callable, Iterator
from email.message import Message

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.toolkit.camera.mjpeg_server import BOUNDARY, closing, part
from toolkit.camera.mjpeg import boundary_from, parts
from toolkit.clock import VirtualClock

LINE = f"--{BOUNDARY}".encode()


def receiver(
    pieces: Iterator[bytes], clock: VirtualClock | None = None, gap_s: float = 0.0
) -> Callable[[], bytes]:
    def receive() -> bytes:
        if clock is not None:
            clock.sleep(gap_s)
        return next(pieces, b"")

    return receive


def bodies(stream: bytes, size: int = 7) -> list[bytes]:
    pieces = (stream[i : i + size] for i in range(0, len(stream), size))
    return [found.body for found in parts(receiver(pieces), LINE, VirtualClock())]


@given(
    contents=st.lists(st.binary(max_size=40), max_size=5),
    length=st.booleans(),
    size=st.integers(1, 50),
)
def test_every_part_comes_out_however_the_stream_is_cut(
    contents: list[bytes], length: bool, size: int
) -> None:
    stream = b"".join(part(body, length=length) for body in contents) + closing()
    assert bodies(stream, size) == contents


def test_text_before_the_first_boundary_is_passed_over() -> None:
    assert bodies(b"hello\r\n" + part(b"JPEG") + closing()) == [b"JPEG"]


def test_a_boundary_inside_a_body_of_known_length_is_no_end() -> None:
    tricky = b"abc\r\n" + LINE + b"def"
    assert bodies(part(tricky) + closing()) == [tricky]


def test_unix_line_ends_and_empty_headers_are_understood() -> None:
    assert bodies(LINE + b"\nContent-Type: image/jpeg\n\nJPEG\n" + LINE + b"--") == [b"JPEG"]
    assert bodies(LINE + b"\r\n\r\nJPEG\r\n" + LINE + b"--") == [b"JPEG"]


def test_a_part_carries_the_arrival_of_its_first_byte() -> None:
    clock = VirtualClock()
    whole = part(b"x" * 30)
    head = len(whole) - 32
    # Boundary, header, then the body in three pieces, each a second after the one before.
    pieces = [whole[:20], whole[20:head], whole[head : head + 10], whole[head + 10 :], closing()]
    (found,) = parts(receiver(iter(pieces), clock, 1.0), LINE, clock)
    assert found.arrived_s == 3.0
    assert clock() == 5.0


def test_a_body_that_comes_with_its_header_has_that_time() -> None:
    clock = VirtualClock()
    pieces = [part(b"one") + part(b"two"), closing()]
    found = list(parts(receiver(iter(pieces), clock, 1.0), LINE, clock))
    assert [(each.body, each.arrived_s) for each in found] == [(b"one", 1.0), (b"two", 1.0)]


@pytest.mark.parametrize("cut", [5, 40, 80])
def test_a_stream_that_breaks_off_is_an_error(cut: int) -> None:
    with pytest.raises(ConnectionError, match="broke off"):
        bodies((part(b"x" * 30) + closing())[:cut])


def test_a_part_that_claims_too_much_is_an_error() -> None:
    with pytest.raises(ConnectionError, match="claims 999999999"):
        bodies(LINE + b"\r\nContent-Length: 999999999\r\n\r\nJPEG")


def test_a_header_without_end_is_an_error() -> None:
    with pytest.raises(ConnectionError, match="goes on after"):
        bodies(LINE + b"\r\n" + b"X: y\r\n" * 5000, size=4096)


@pytest.mark.parametrize(
    ("content_type", "expected"),
    [
        ("multipart/x-mixed-replace; boundary=abc", b"--abc"),
        ('multipart/x-mixed-replace;boundary="--abc"', b"--abc"),
        ("multipart/x-mixed-replace", None),
        ("text/html", None),
        ("image/jpeg", None),
    ],
)
def test_the_boundary_is_read_from_the_header(content_type: str, expected: bytes | None) -> None:
    headers = Message()
    headers["Content-Type"] = content_type
    assert boundary_from(headers) == expected
