"""Takes the pictures out of a `multipart/x-mixed-replace` stream, with the time each arrived."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from email.message import Message

from toolkit.clock import Clock

__all__ = ["Part", "boundary_from", "parts"]

_MOST_HEADER_BYTES = 16 << 10
_MOST_BODY_BYTES = 32 << 20


@dataclass(frozen=True)
class Part:
    """One picture's bytes, which may be damaged, and when the first of them arrived."""

    body: bytes
    arrived_s: float


def boundary_from(headers: Message) -> bytes | None:
    """Return the line between parts, dashes included; None when the answer is no multipart."""
    if not headers.get_content_type().startswith("multipart/"):
        return None
    boundary = headers.get_boundary("")
    # Many cameras put the dashes into the header, where they do not belong.
    return b"--" + boundary.removeprefix("--").encode("latin-1") if boundary else None


def parts(receive: Callable[[], bytes], boundary: bytes, clock: Clock) -> Iterator[Part]:
    """Yield every part until the closing boundary. `receive` gives b"" at the end of the stream.

    Raises ConnectionError when the stream ends without that boundary, or a part has no end.
    """
    stream = _Stream(receive, clock)
    stream.skip_to(boundary)
    while True:
        if stream.starts_with(b"--"):
            return
        header = stream.until(b"\r\n\r\n", b"\n\n", limit=_MOST_HEADER_BYTES)
        arrived_s = stream.time_of_next_byte()
        length = re.search(rb"(?im)^content-length:\s*(\d{1,12})\s*$", header)
        if length:
            yield Part(stream.take(int(length[1])), arrived_s)
            stream.skip_to(boundary)  # only now: it may come with the next picture
        else:
            body = stream.until(b"\r\n" + boundary, b"\n" + boundary, limit=_MOST_BODY_BYTES)
            yield Part(body, arrived_s)


class _Stream:
    """A buffer over `receive` that remembers when the last piece came."""

    def __init__(self, receive: Callable[[], bytes], clock: Clock) -> None:
        self._receive = receive
        self._clock = clock
        self._buffer = bytearray()
        self._last_s = clock()

    def time_of_next_byte(self) -> float:
        """Return when the byte that comes next arrived."""
        if not self._buffer:
            self._more()
        return self._last_s

    def starts_with(self, start: bytes) -> bool:
        """Return whether these are the next bytes."""
        while len(self._buffer) < len(start):
            self._more()
        return self._buffer.startswith(start)

    def take(self, count: int) -> bytes:
        """Return the next `count` bytes."""
        if count > _MOST_BODY_BYTES:
            raise ConnectionError(f"a part claims {count} bytes")
        while len(self._buffer) < count:
            self._more()
        return self._cut(count, 0)

    def until(self, *ends: bytes, limit: int) -> bytes:
        """Return what comes before the first of `ends`, which is dropped."""
        seen = 0
        while True:
            found = [(at, end) for end in ends if (at := self._buffer.find(end, seen)) >= 0]
            if found:
                at, end = min(found)
                return self._cut(at, len(end))
            if len(self._buffer) > limit:
                raise ConnectionError(f"a part goes on after {limit} bytes")
            seen = max(len(self._buffer) - max(map(len, ends)), 0)
            self._more()

    def skip_to(self, boundary: bytes) -> None:
        """Drop everything up to and with the next boundary."""
        self.until(boundary, limit=_MOST_BODY_BYTES)

    def _cut(self, count: int, dropped: int) -> bytes:
        piece = bytes(self._buffer[:count])
        del self._buffer[: count + dropped]
        return piece

    def _more(self) -> None:
        piece = self._receive()
        if not piece:
            raise ConnectionError("the stream broke off")
        self._last_s = self._clock()
        self._buffer += piece
