"""`http://user:password@host/stream`: Motion JPEG from a network camera.

A thread of its own empties the socket and keeps the newest picture, so that no lag can grow, and
stamps it with the arrival of its first byte. A lost connection is opened again, waiting longer
each time; meanwhile there is no frame in time.
"""

from __future__ import annotations

import http.client
import threading
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from typing import IO
from urllib.parse import unquote, urlsplit, urlunsplit

from toolkit.camera.frame import Camera, Frame, Status
from toolkit.camera.frame_slot import FrameSlot
from toolkit.camera.mjpeg import Part, boundary_from, parts
from toolkit.camera.newest import next_pause_s
from toolkit.camera.uri import CameraUri
from toolkit.clock import Clock
from toolkit.errors import CameraError
from toolkit.shell import quoted

__all__ = ["HttpCamera", "open_http"]

_CONNECT_S = 5.0
_PIECE_BYTES = 1 << 16


class HttpCamera:
    """The newest picture of a Motion JPEG stream; `index` counts those that newer ones replaced."""

    def __init__(self, uri: str, source: _Source, clock: Clock) -> None:
        from toolkit.camera.jpeg import bgr_from_jpeg  # with OpenCV: only a camera needs it

        self.uri = uri
        self._decode = bgr_from_jpeg
        self.reconnects = 0
        self._source = source
        self._clock = clock
        self._newest: FrameSlot[tuple[int, Part]] = FrameSlot(clock)
        self._stop = threading.Event()
        self._received = 0
        self._error: BaseException | None = None
        self._thread = clock.start(self._receive, "network camera")

    def read(self, timeout_s: float) -> Frame | Status:
        """Return the newest picture not yet given, END, DAMAGED or TIMED_OUT."""
        item = self._newest.take(timeout_s)
        if item is None and self._error is not None:
            raise self._error
        if item is None:
            return Status.END if self._newest.exhausted else Status.TIMED_OUT
        index, part = item
        image = self._decode(part.body)
        if image is None:
            return Status.DAMAGED
        return Frame(image, index, part.arrived_s, "arrival")

    def close(self) -> None:
        """Hang up. A thread that waits for the network ends by itself when its time is up."""
        self._stop.set()
        self._clock.join(self._thread, 0.5)

    def _receive(self) -> None:
        pause_s = 0.0
        try:
            while not self._stop.wait(pause_s):
                try:
                    for part in self._source.parts(self._clock):
                        if self._stop.is_set():
                            return
                        self._newest.offer((self._received, part))
                        self._received += 1
                        pause_s = 0.0
                    return  # the closing boundary: the sender is done
                except (OSError, http.client.HTTPException):
                    self.reconnects += 1
                pause_s = next_pause_s(pause_s)
        except BaseException as error:
            self._error = error  # raised by `read`
        finally:
            self._source.close()
            self._newest.close()


class _Source:
    """Connects to the stream; knows the password, which no message shows."""

    def __init__(self, uri: CameraUri) -> None:
        self._shown = uri.text
        pieces = urlsplit(uri.secret)
        host = pieces.netloc.rpartition("@")[2]
        self._url = urlunsplit((pieces.scheme, host, pieces.path or "/", pieces.query, ""))
        passwords = urllib.request.HTTPPasswordMgrWithDefaultRealm()
        if pieces.username is not None:
            password = unquote(pieces.password or "")
            passwords.add_password(None, self._url, unquote(pieces.username), password)
        self._opener = urllib.request.build_opener(
            urllib.request.ProxyHandler({}),  # cameras are near; a proxy would only add delay
            _CloseRefusals(),
            urllib.request.HTTPBasicAuthHandler(passwords),
            urllib.request.HTTPDigestAuthHandler(passwords),
        )
        self._answer: http.client.HTTPResponse | None = None
        self._boundary = b""

    def connect(self) -> http.client.HTTPResponse:
        """Open the stream. Raises OSError or HTTPException."""
        answer: http.client.HTTPResponse = self._opener.open(self._url, timeout=_CONNECT_S)
        boundary = boundary_from(answer.headers)
        if boundary is None:
            kind = answer.headers.get_content_type()
            answer.close()
            raise ConnectionError(f"it sends {kind}, not multipart/x-mixed-replace")
        self._answer, self._boundary = answer, boundary
        return answer

    def parts(self, clock: Clock) -> Iterator[Part]:
        """Yield the pictures of the open stream, or of a new one."""
        answer = self._answer or self.connect()
        try:
            yield from parts(lambda: answer.read1(_PIECE_BYTES), self._boundary, clock)
        finally:
            self.close()

    def close(self) -> None:
        """Close the stream, if it is open."""
        if self._answer is not None:
            self._answer.close()
            self._answer = None

    def first_connection(self) -> None:
        """Connect; raise CameraError that says why it cannot be done."""
        try:
            self.connect()
        except urllib.error.HTTPError as error:
            error.close()
            what = f"answers {error.code} {error.reason}"
            if error.code in (401, 403):
                what = f"refuses the user name or password ({error.code})"
            raise self._error(what) from error
        except urllib.error.URLError as error:
            raise self._error(f"cannot be reached: {error.reason}") from error
        except (ValueError, http.client.InvalidURL):
            # Its message could hold a piece of the password.
            raise self._error("is not a URL: write a / in a password as %2F") from None
        except (OSError, http.client.HTTPException) as error:
            raise self._error(f"is no Motion JPEG stream: {error}") from error

    def _error(self, what: str) -> CameraError:
        return CameraError(
            f"{self._shown} {what}.", next_command=f"curl --head {quoted(self._shown)}"
        )


class _CloseRefusals(urllib.request.BaseHandler):
    """Closes the answer that asks for a password; urllib only drops it."""

    handler_order = 400  # before the handlers that answer with the password

    def http_error_401(
        self, request: object, answer: IO[bytes], code: int, message: str, headers: object
    ) -> None:
        """Close it and let the next handler go on."""
        answer.close()


@contextmanager
def open_http(uri: CameraUri, *, paced: bool, clock: Clock) -> Iterator[Camera]:
    """Yield the camera behind a URL. Raises CameraError when it cannot be reached."""
    source = _Source(uri)
    source.first_connection()
    camera = HttpCamera(uri.text, source, clock)
    try:
        yield camera
    finally:
        camera.close()
