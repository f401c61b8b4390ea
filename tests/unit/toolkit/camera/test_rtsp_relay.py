from __future__ import annotations

import socket
import struct
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from toolkit.camera.rtsp_relay import DELIMITERS, RtspRelay

SETUP = b"RTSP/1.0 200 OK\r\nTransport: RTP/AVP/TCP;unicast;interleaved=2-3\r\n\r\n"


def rtp(number: int, *, marker: bool, payload: bytes = b"slice") -> bytes:
    kind = 96 | (0x80 if marker else 0)
    return struct.pack(">BBHII", 0x80, kind, number, 3000 + number, 7) + payload


def interleaved(channel: int, packet: bytes) -> bytes:
    return b"$" + struct.pack(">BH", channel, len(packet)) + packet


@contextmanager
def relayed() -> Iterator[tuple[socket.socket, socket.socket]]:
    """Yield the server's and the client's end of a relay."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        address = ("127.0.0.1", int(listener.getsockname()[1]))
        relay = RtspRelay(address, DELIMITERS["H264"], timeout_s=5)
        server = listener.accept()[0]
        client = socket.create_connection(("127.0.0.1", relay.port), 5)
        server.settimeout(5)
        with server, client:
            yield server, client
            relay.close()


def received(connection: socket.socket, length: int) -> bytes:
    got = b""
    while len(got) < length and (piece := connection.recv(length - len(got))):
        got += piece
    return got


def test_requests_and_answers_pass_unchanged() -> None:
    body = b"RTSP/1.0 200 OK\r\nContent-Length: 5\r\n\r\n$$$$$"
    with relayed() as (server, client):
        client.sendall(b"DESCRIBE rtsp://x/y RTSP/1.0\r\n\r\n")
        assert received(server, 32) == b"DESCRIBE rtsp://x/y RTSP/1.0\r\n\r\n"
        server.sendall(body)
        assert received(client, len(body)) == body


def test_the_last_packet_of_a_picture_is_followed_by_a_delimiter() -> None:
    first, last, following = rtp(65534, marker=False), rtp(65535, marker=True), rtp(0, marker=False)
    expected = (
        SETUP
        + interleaved(2, first)
        + interleaved(2, last)
        + interleaved(2, struct.pack(">BBHII", 0x80, 0xE0, 0, 3000 + 65535, 7) + b"\x09\xf0")
        + interleaved(3, b"a sender report")
        + interleaved(2, struct.pack(">BBHII", 0x80, 96, 1, 3000, 7) + b"slice")  # one further on
    )
    with relayed() as (server, client):
        server.sendall(SETUP + interleaved(2, first) + interleaved(2, last))
        server.sendall(interleaved(3, b"a sender report") + interleaved(2, following))
        assert received(client, len(expected)) == expected


@pytest.mark.parametrize("who", ["server", "client"])
def test_when_one_side_hangs_up_so_does_the_other(who: str) -> None:
    with relayed() as (server, client):
        leaving, staying = (server, client) if who == "server" else (client, server)
        leaving.close()
        assert received(staying, 1) == b""


def test_a_message_without_an_end_ends_the_connection() -> None:
    with relayed() as (server, client):
        server.sendall(b"RTSP/1.0 200 OK\r\nContent-Length: 99999999\r\n\r\n")
        assert received(client, 1) == b""
