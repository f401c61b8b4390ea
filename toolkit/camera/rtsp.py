"""`rtsp://user:password@host/stream` over TCP: the newest picture of a network camera.

A thread empties the stream, so that no lag can grow; a lost or silent connection is opened again,
waiting longer each time, and meanwhile there is no frame in time.

OpenCV's FFmpeg reads the stream, not PyAV's. With one decoder thread and `low_delay` both hand a
picture on equally soon: age p50 35.3 and 35.4 ms, p99 40.3 and 40.3 ms (640x480 H.264 at 30 frames
a second on loopback, 60 frames after 30, two interleaved rounds, OpenCV 5.0.0, PyAV 18.1.0);
OpenCV's own defaults take 68 to 71 ms. PyAV's wheels hold x264 and x265, which are GPL; OpenCV is
installed already. What both keep is FFmpeg's parser, which waits for the next picture; the relay
(`rtsp_relay`) ends that: age p50 2.4 ms against 36.8 without it, p99 10.2 against 44.7 (180 frames
each in three interleaved rounds, two cores at load 7). Where a server does not go along, the stream
is opened without it and the timestamp allows for the frame period.
"""

from __future__ import annotations

import os
import threading
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from statistics import median
from urllib.parse import urlsplit, urlunsplit

import cv2
import numpy as np

from toolkit.camera.ffmpeg import quiet
from toolkit.camera.frame import Camera, Frame, Status, bgr_from
from toolkit.camera.newest import NewestCamera, next_pause_s
from toolkit.camera.rtsp_describe import RTSP_PORT, describe
from toolkit.camera.rtsp_relay import DELIMITERS, RtspRelay
from toolkit.camera.sender_timeline import SenderTimeline
from toolkit.camera.uri import CameraUri
from toolkit.clock import Clock
from toolkit.errors import CameraError
from toolkit.shell import quoted

__all__ = ["open_rtsp"]

_CONNECT_S = 5.0
_SILENCE_MS = 3000
_OPTIONS = (
    "rtsp_transport;tcp|allowed_media_types;video|fflags;nobuffer|flags;low_delay|fpsprobesize;0"
)
_VARIABLE = "OPENCV_FFMPEG_CAPTURE_OPTIONS"
_environment = threading.Lock()


@contextmanager
def open_rtsp(uri: CameraUri, *, paced: bool, clock: Clock) -> Iterator[Camera]:
    """Yield the camera behind an RTSP URL. Raises CameraError when it cannot be reached."""
    stream = _Stream(uri, clock)
    capture = stream.connect()
    camera = NewestCamera(uri.text, partial(_receive, stream, capture), clock, "RTSP camera")
    try:
        yield camera
    finally:
        camera.close()
        stream.close()


def _receive(stream: _Stream, first: cv2.VideoCapture, camera: NewestCamera) -> Status:
    pause_s = 0.0
    capture: cv2.VideoCapture | None = first
    while not camera.stop.wait(pause_s):
        try:
            capture = capture or stream.connect()
            pause_s = 0.0
            with quiet():  # OpenCV prints its time-outs
                stream.read_all(capture, camera)
        except CameraError:
            pass  # it told the user once, when it was opened; now it is a time without frames
        finally:
            if capture is not None:
                capture.release()
            capture = None
            stream.close()
        camera.reconnects += 1
        pause_s = next_pause_s(pause_s)
    return Status.END


class _Stream:
    """Connects and reads; knows the password, which no message shows."""

    def __init__(self, uri: CameraUri, clock: Clock) -> None:
        self._uri = uri
        self._clock = clock
        self._index = 0
        self._parsed = False  # by a parser that waits for the next picture
        self._relay: RtspRelay | None = None

    def connect(self) -> cv2.VideoCapture:
        """Open the stream. Raises CameraError."""
        description = describe(self._uri, _CONNECT_S)
        delimiter = next((DELIMITERS[c] for c in DELIMITERS if f" {c}/" in description), b"")
        self._parsed = bool(delimiter)
        if delimiter and (capture := self._through_relay(delimiter)) is not None:
            return capture
        capture = _opened(self._uri.secret)
        if not capture.isOpened():
            raise CameraError(
                f"{self._uri.text} answers, but sends no picture that FFmpeg can read.",
                next_command=f"ffprobe -rtsp_transport tcp {quoted(self._uri.text)}",
            )
        return capture

    def close(self) -> None:
        """Hang up, if a relay holds the connection."""
        if self._relay is not None:
            self._relay.close()
            self._relay = None

    @property
    def _late(self) -> bool:
        """Whether FFmpeg hands pictures on one frame period late."""
        return self._parsed and not (self._relay is not None and self._relay.added)

    def _through_relay(self, delimiter: bytes) -> cv2.VideoCapture | None:
        pieces = urlsplit(self._uri.secret)
        server = (pieces.hostname or "", pieces.port or RTSP_PORT)
        try:
            self._relay = RtspRelay(server, delimiter, timeout_s=_CONNECT_S)
        except OSError:
            return None
        login, at, _ = pieces.netloc.rpartition("@")
        place = f"{login}{at}127.0.0.1:{self._relay.port}"
        capture = _opened(urlunsplit((pieces.scheme, place, pieces.path, pieces.query, "")))
        if capture.isOpened():
            return capture
        self.close()  # a server that knows itself by its own name only
        return None

    def read_all(self, capture: cv2.VideoCapture, camera: NewestCamera) -> None:
        """Offer every picture until the stream breaks off or is silent too long."""
        timeline, periods = SenderTimeline(), deque[float](maxlen=9)
        fps = capture.get(cv2.CAP_PROP_FPS)
        periods.append(1 / fps if 1 <= fps <= 240 else 1 / 30)
        last_s = None
        while not camera.stop.is_set() and capture.grab():
            arrived_s = self._clock()
            sent_s = capture.get(cv2.CAP_PROP_POS_MSEC) / 1e3
            if last_s is not None and 0 < sent_s - last_s < 1:
                periods.append(sent_s - last_s)
            last_s = sent_s
            late_s = median(periods) if self._late else 0.0
            captured_s = timeline.captured_at(sent_s, arrived_s) - late_s
            given, image = capture.retrieve()
            index, self._index = self._index, self._index + 1
            if not given or image is None or image.size == 0:
                camera.offer(Status.DAMAGED)
                continue
            picture = bgr_from(np.asarray(image, dtype=np.uint8))
            camera.offer(Frame(picture, index, captured_s, "arrival"))


def _opened(url: str) -> cv2.VideoCapture:
    parameters = [
        *(cv2.CAP_PROP_N_THREADS, 1),  # each further one holds a frame back
        *(cv2.CAP_PROP_OPEN_TIMEOUT_MSEC, int(_CONNECT_S * 1e3)),
        *(cv2.CAP_PROP_READ_TIMEOUT_MSEC, _SILENCE_MS),
    ]
    with quiet(), _options():
        return cv2.VideoCapture(url, cv2.CAP_FFMPEG, parameters)


@contextmanager
def _options() -> Iterator[None]:
    # OpenCV takes FFmpeg's options from the environment only, each time it opens something.
    with _environment:
        before = os.environ.get(_VARIABLE)
        os.environ[_VARIABLE] = before or _OPTIONS  # a user's own setting wins
        try:
            yield
        finally:
            if before is None:
                del os.environ[_VARIABLE]
