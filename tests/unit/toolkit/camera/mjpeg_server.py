"""A network camera on this machine: real sockets, scripted answers."""

from __future__ import annotations

import base64
import io
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import numpy as np
from numpy.typing import NDArray
from PIL import Image

BOUNDARY = "frame-boundary"


def jpeg(value: int, size: tuple[int, int] = (48, 64)) -> bytes:
    picture = np.full((*size, 3), (value, 60, 200), np.uint8)
    file = io.BytesIO()
    Image.fromarray(picture).save(file, "JPEG", quality=95)
    return file.getvalue()


def part(body: bytes, *, length: bool = True, boundary: str = BOUNDARY) -> bytes:
    size = f"Content-Length: {len(body)}\r\n" if length else ""
    return f"--{boundary}\r\nContent-Type: image/jpeg\r\n{size}\r\n".encode() + body + b"\r\n"


def closing(boundary: str = BOUNDARY) -> bytes:
    return f"--{boundary}--\r\n".encode()


class MjpegServer(ThreadingHTTPServer):
    """Sends what `script` yields to everyone who asks; numbers are pauses in seconds."""

    daemon_threads = True
    block_on_close = False

    def __init__(
        self,
        script: Callable[[], Iterator[bytes | float]],
        *,
        port: int = 0,
        content_type: str = f"multipart/x-mixed-replace; boundary={BOUNDARY}",
        status: int = 200,
        login: str | None = None,
    ) -> None:
        self.script = script
        self.content_type = content_type
        self.status = status
        self.login = login
        self.requests: list[str] = []
        self.connections: list[socket.socket] = []
        super().__init__(("127.0.0.1", port), Handler)

    @property
    def uri(self) -> str:
        return f"http://127.0.0.1:{self.server_port}/stream?camera=1"

    def kill(self) -> None:
        """Hang up on everyone, as a process that dies does."""
        for connection in self.connections:
            with suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)

    def handle_error(self, request: object, client_address: object) -> None:
        """Say nothing when a client hangs up."""


class Handler(BaseHTTPRequestHandler):
    server: MjpegServer

    def do_GET(self) -> None:
        self.server.connections.append(self.connection)
        self.server.requests.append(self.path)
        login = self.server.login
        expected = f"Basic {base64.b64encode(login.encode()).decode()}" if login else None
        if login and self.headers.get("Authorization") != expected:
            self.send_response(401)
            self.send_header("WWW-Authenticate", 'Basic realm="camera"')
            self.end_headers()
            return
        self.send_response(self.server.status)
        self.send_header("Content-Type", self.server.content_type)
        self.end_headers()
        for piece in self.server.script():
            if isinstance(piece, bytes):
                self.wfile.write(piece)
            else:
                time.sleep(piece)

    def log_message(self, format: str, *args: object) -> None:
        """Keep the test's output clean."""


@contextmanager
def serving(server: MjpegServer) -> Iterator[MjpegServer]:
    thread = threading.Thread(target=lambda: server.serve_forever(0.01), daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        server.kill()
        server.server_close()
        thread.join(5)


def showing(
    values: list[int], gap_s: float = 0.0, *, length: bool = True
) -> Callable[[], Iterator[bytes | float]]:
    def script() -> Iterator[bytes | float]:
        for value in values:
            yield part(jpeg(value), length=length)
            yield gap_s
        yield closing()

    return script


def read_values(image: NDArray[np.uint8]) -> int:
    return int(image[24, 32, 2])  # red of a BGR picture
