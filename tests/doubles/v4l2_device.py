"""A double of the kernel's V4L2 device: no camera can be plugged in by software here.

It keeps a queue of filled buffers and answers the requests that `toolkit.camera.v4l2` makes with
the kernel's structures. What a real driver does beyond that is not shown by it.
"""

from __future__ import annotations

import errno
import os
from collections import deque
from dataclasses import dataclass, field
from typing import Any

from toolkit.camera import v4l2_ioctl as v4l2
from toolkit.camera.v4l2_ioctl import Buffer, fourcc

CAMERA = v4l2.CAP_VIDEO_CAPTURE | v4l2.CAP_STREAMING


@dataclass(frozen=True)
class Shot:
    """One frame that the driver filled in, or the error it gives instead."""

    body: bytes = b""
    time_s: float = 0.0
    sequence: int = 0
    flags: int = v4l2.FLAG_CLOCK_MONOTONIC
    error: int = 0


@dataclass
class V4l2Double:
    shots: deque[Shot]
    formats: tuple[str, ...] = ("MJPG", "YUYV")
    size: tuple[int, int] | None = None
    """The only size it has; None: any."""
    padding: int = 0
    """Bytes at the end of each YUYV row."""
    capabilities: int = CAMERA
    fails: dict[str, int] = field(default_factory=dict)
    """Request -> errno."""
    at_once: bool = False
    """Whether all shots are ready at once, as for a reader that comes late."""
    pause_s: float = 0.0
    """Between two frames: a shorter wait is in vain."""
    rate: tuple[int, int] | None = None
    closed: bool = False
    streams: bool = False
    requests: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._memory: list[bytearray] = []
        self._free: deque[int] = deque()
        self._asked = False

    def ioctl(self, request: str, argument: Any) -> None:
        self.requests.append(request)
        if request in self.fails:
            raise OSError(self.fails[request], os.strerror(self.fails[request]))
        getattr(self, f"_{request.removeprefix('VIDIOC_').lower()}")(argument)

    def map(self, offset: int, length: int) -> memoryview:
        return memoryview(self._memory[offset // 4096])[:length]

    def wait(self, timeout_s: float) -> bool:
        return bool(self.shots) and (timeout_s > self.pause_s or self.at_once)

    def close(self) -> None:
        self.closed = True

    def _querycap(self, found: v4l2.Capability) -> None:
        found.card = b"Double"
        found.capabilities = self.capabilities | v4l2.CAP_DEVICE_CAPS
        found.device_caps = self.capabilities

    def _s_fmt(self, form: v4l2.Format) -> None:
        if form.pixelformat not in map(fourcc, self.formats):
            form.pixelformat = fourcc(self.formats[0] if self.formats else "H264")
        if self.size is not None:
            form.width, form.height = self.size
        form.bytesperline = 2 * form.width + self.padding
        form.sizeimage = form.bytesperline * form.height

    def _s_parm(self, rate: v4l2.StreamParameters) -> None:
        self.rate = (rate.numerator, rate.denominator)

    def _reqbufs(self, asked: v4l2.RequestBuffers) -> None:
        asked.count = min(asked.count, 3)  # a driver may give fewer
        self._memory = [bytearray(1 << 16) for _ in range(asked.count)]

    def _querybuf(self, buffer: Buffer) -> None:
        buffer.offset, buffer.length = 4096 * buffer.index, 1 << 16

    def _qbuf(self, buffer: Buffer) -> None:
        self._free.append(buffer.index)

    def _dqbuf(self, buffer: Buffer) -> None:
        shot = self.shots.popleft()
        if shot.error:
            raise OSError(shot.error, os.strerror(shot.error))
        buffer.index = self._free.popleft()  # raises when buffers do not come back
        self._memory[buffer.index][: len(shot.body)] = shot.body
        buffer.bytesused, buffer.flags = len(shot.body), shot.flags
        buffer.sequence = shot.sequence
        buffer.seconds, buffer.microseconds = divmod(round(shot.time_s * 1e6), 10**6)

    def _streamon(self, _: object) -> None:
        self.streams = True

    def _streamoff(self, _: object) -> None:
        self.streams = False


def unplugged() -> Shot:
    return Shot(error=errno.ENODEV)
