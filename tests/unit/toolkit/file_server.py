"""A local HTTP server that sends one file, well or badly."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

__all__ = ["FileServer", "serving"]


class FileServer(ThreadingHTTPServer):
    """`behaviour`, one per request in turn, the last one for all that follow:

    "ranges" sends what was asked for, "whole" ignores the range, "drop" closes the connection
    after half of what is missing, "error" answers 503, "absent" 404, "other" sends another part.
    `asked` holds the Range headers.
    """

    daemon_threads = True

    def __init__(self, content: bytes, behaviour: tuple[str, ...]) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.content, self.behaviour = content, behaviour
        self.asked: list[str | None] = []

    @property
    def url(self) -> str:
        """Return the address of the file."""
        return f"http://127.0.0.1:{self.server_address[1]}/file.tgz"


class _Handler(BaseHTTPRequestHandler):
    server: FileServer

    def do_GET(self) -> None:
        server = self.server
        behaviour = server.behaviour[min(len(server.asked), len(server.behaviour) - 1)]
        asked = self.headers["Range"]
        server.asked.append(asked)
        if behaviour in ("error", "absent"):
            self.send_error(503 if behaviour == "error" else 404)
            return
        start = int(asked.removeprefix("bytes=").removesuffix("-")) if asked else 0
        start = 0 if behaviour == "whole" else start
        total = len(server.content)
        if start >= total:
            self.send_error(416)
            return
        rest = server.content[start:]
        partial = asked is not None and behaviour != "whole"
        self.send_response(206 if partial else 200)
        if partial:
            told = start + 1 if behaviour == "other" else start
            self.send_header("Content-Range", f"bytes {told}-{total - 1}/{total}")
        self.send_header("Content-Length", str(len(rest)))
        self.end_headers()
        self.wfile.write(rest[: len(rest) // 2] if behaviour == "drop" else rest)

    def log_message(self, format: str, *arguments: object) -> None:
        """Say nothing."""


@contextmanager
def serving(content: bytes, *behaviour: str) -> Iterator[FileServer]:
    """Yield a running server."""
    server = FileServer(content, behaviour or ("ranges",))
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
