"""Stands between FFmpeg and an RTSP server so that no picture waits for the one after it.

FFmpeg's parser knows that an H.264 or H.265 picture is complete only when the next one begins: one
frame period late. RTP marks the last packet of a picture (RFC 6184 and 7798), so after each one the
relay adds a packet that holds an access unit delimiter, which begins nothing visible. All else
passes unchanged, except that RTP's sequence numbers count the added packets. The delimiter belongs
to the next picture, which so gets the timestamp of the one before it.

OpenCV would squeeze the pictures of a new resolution into the first one's. So the relay hangs up
when the parameter sets of the stream change, and whoever opens the stream again sees it as it is.
"""

from __future__ import annotations

import re
import socket
import struct
import threading
from collections.abc import Iterator
from contextlib import suppress
from typing import IO

__all__ = ["DELIMITERS", "RtspRelay"]

DELIMITERS = {"H264": b"\x09\xf0", "H265": b"\x46\x01\x50"}
"""Codec as the session description names it -> an access unit delimiter for any kind of picture."""

_RTP = struct.Struct(">BBHII")
_PIECE_BYTES = 1 << 16
_MOST_TEXT_BYTES = 1 << 20
_CHANNEL = re.compile(rb"^Transport:.*interleaved=(\d+)", re.IGNORECASE | re.MULTILINE)


class RtspRelay:
    """Listens on this machine for one client, at `port`; `close` ends both connections."""

    def __init__(self, server: tuple[str, int], delimiter: bytes, *, timeout_s: float) -> None:
        self._delimiter = delimiter
        self.added = 0
        """How many delimiters were sent; 0: the server marks no packet."""
        self._channel = 0
        self._long_header = len(delimiter) == 3  # H.265's units
        self._here: set[bytes] = set()
        self._parameters: set[bytes] = set()
        self._upstream = socket.create_connection(server, timeout_s)
        self._upstream.settimeout(None)
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._listener.settimeout(timeout_s)
        self._client: socket.socket | None = None
        self.port: int = self._listener.getsockname()[1]
        threading.Thread(target=self._run, name="RTSP relay", daemon=True).start()

    def close(self) -> None:
        """Hang up on both sides; the threads end by that."""
        for side in (self._client, self._upstream):
            if side is not None:
                with suppress(OSError):  # it hung up first
                    side.shutdown(socket.SHUT_RDWR)

    def _run(self) -> None:
        with self._upstream, self._listener:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return  # nobody came
            self._client = client
            client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            requests = threading.Thread(target=self._pass_requests, args=(client,), daemon=True)
            requests.start()
            with client, self._upstream.makefile("rb") as answers:
                with suppress(OSError, ConnectionError):  # either side hung up: FFmpeg sees it
                    self._pass_answers(answers, client)
                self.close()
                requests.join()

    def _pass_requests(self, client: socket.socket) -> None:
        with suppress(OSError):
            while piece := client.recv(_PIECE_BYTES):
                self._upstream.sendall(piece)
        self.close()

    def _pass_answers(self, answers: IO[bytes], client: socket.socket) -> None:
        while first := answers.read(1):
            if first != b"$":
                text = first + _text(answers)
                if found := _CHANNEL.search(text):
                    self._channel = int(found[1])
                client.sendall(text)
                continue
            head = answers.read(3)
            if len(head) < 3:
                return
            channel, length = struct.unpack(">BH", head)
            packet = answers.read(length)
            if channel == self._channel and len(packet) >= _RTP.size:
                client.sendall(self._renumbered(packet))
            else:
                client.sendall(first + head + packet)

    def _check_parameters(self, payload: bytes, *, last: bool) -> None:
        """Raise ConnectionError when a picture comes with other sequence parameter sets."""
        self._here.update(_parameter_sets(payload, self._long_header))
        if last and self._here:
            if self._parameters and self._here != self._parameters:
                raise ConnectionError("the stream has changed")
            self._parameters, self._here = self._here, set()

    def _renumbered(self, packet: bytes) -> bytes:
        version, kind, number, time, source = _RTP.unpack_from(packet)
        self._check_parameters(packet[_RTP.size :], last=bool(kind & 0x80))
        number = (number + self.added) & 0xFFFF
        out = self._interleaved(
            _RTP.pack(version, kind, number, time, source) + packet[_RTP.size :]
        )
        if kind & 0x80:  # the marker: the last packet of a picture
            self.added += 1
            following = (number + 1) & 0xFFFF
            header = _RTP.pack(0x80, kind, following, time, source)
            out += self._interleaved(header + self._delimiter)
        return out

    def _interleaved(self, packet: bytes) -> bytes:
        return b"$" + struct.pack(">BH", self._channel, len(packet)) + packet


def _text(answers: IO[bytes]) -> bytes:
    """Return the rest of an RTSP message: lines up to an empty one, and its body."""
    lines, length, size = [], 0, 0
    while (line := answers.readline(_MOST_TEXT_BYTES)) not in (b"\r\n", b"\n", b""):
        lines.append(line)
        size += len(line)
        name, _, value = line.partition(b":")
        if name.strip().lower() == b"content-length" and value.strip().isdigit():
            length = int(value)
        if size + length > _MOST_TEXT_BYTES:
            raise ConnectionError(f"a message claims {size + length} bytes")
    return b"".join(lines) + line + answers.read(length)


def _parameter_sets(payload: bytes, long_header: bool) -> Iterator[bytes]:
    """Yield the sequence parameter sets in an RTP payload, alone or aggregated."""
    wanted, aggregate, header = (33, 48, 2) if long_header else (7, 24, 1)

    def kind(unit: bytes) -> int:
        return (unit[0] >> 1) & 0x3F if long_header else unit[0] & 0x1F

    if not payload or kind(payload) not in (wanted, aggregate):
        return
    units = [payload] if kind(payload) == wanted else _aggregated(payload[header:])
    yield from (unit for unit in units if unit and kind(unit) == wanted)


def _aggregated(rest: bytes) -> Iterator[bytes]:
    while len(rest) > 2:
        length = int.from_bytes(rest[:2], "big")
        yield rest[2 : 2 + length]
        rest = rest[2 + length :]
