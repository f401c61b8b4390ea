"""The part of the V4L2 kernel interface that a camera needs: structures, numbers and the device.

Layouts follow `linux/videodev2.h` on 64-bit Linux; a test compiles that header and compares.
"""

from __future__ import annotations

import ctypes
import fcntl
import mmap
import os
import select
from typing import Any, Protocol

__all__ = [
    "REQUESTS",
    "Buffer",
    "Capability",
    "Device",
    "DeviceFile",
    "Format",
    "RequestBuffers",
    "StreamParameters",
    "fourcc",
]

VIDEO_CAPTURE = 1
MEMORY_MMAP = 1
CAP_VIDEO_CAPTURE, CAP_STREAMING, CAP_DEVICE_CAPS = 0x1, 0x04000000, 0x80000000
FLAG_ERROR = 0x40
FLAG_CLOCK_MASK, FLAG_CLOCK_MONOTONIC = 0xE000, 0x2000
FLAG_SOURCE_MASK, FLAG_SOURCE_EXPOSURE = 0x70000, 0x10000

_u32 = ctypes.c_uint32


class Capability(ctypes.Structure):
    """What a device is: struct v4l2_capability."""

    _fields_ = [
        ("driver", ctypes.c_char * 16),
        ("card", ctypes.c_char * 32),
        ("bus_info", ctypes.c_char * 32),
        ("version", _u32),
        ("capabilities", _u32),
        ("device_caps", _u32),
        ("reserved", _u32 * 3),
    ]


class Format(ctypes.Structure):
    """The size and kind of the pictures: struct v4l2_format with its v4l2_pix_format."""

    _fields_ = [
        ("type", _u32),
        ("padding", _u32),  # the kernel's union holds pointers
        ("width", _u32),
        ("height", _u32),
        ("pixelformat", _u32),
        ("field", _u32),
        ("bytesperline", _u32),
        ("sizeimage", _u32),
        ("rest", ctypes.c_uint8 * 176),
    ]


class RequestBuffers(ctypes.Structure):
    """How many buffers the driver shall make: struct v4l2_requestbuffers."""

    _fields_ = [("count", _u32), ("type", _u32), ("memory", _u32), ("reserved", _u32 * 2)]


class Buffer(ctypes.Structure):
    """One buffer and what is in it: struct v4l2_buffer, whose unions are named by what we use."""

    _fields_ = [
        ("index", _u32),
        ("type", _u32),
        ("bytesused", _u32),
        ("flags", _u32),
        ("field", _u32),
        ("seconds", ctypes.c_int64),
        ("microseconds", ctypes.c_int64),
        ("timecode", ctypes.c_uint8 * 16),
        ("sequence", _u32),
        ("memory", _u32),
        ("offset", ctypes.c_uint64),
        ("length", _u32),
        ("reserved2", _u32),
        ("request_fd", ctypes.c_int32),
    ]


class StreamParameters(ctypes.Structure):
    """The frame rate: struct v4l2_streamparm with its v4l2_captureparm."""

    _fields_ = [
        ("type", _u32),
        ("capability", _u32),
        ("capturemode", _u32),
        ("numerator", _u32),
        ("denominator", _u32),
        ("rest", ctypes.c_uint8 * 184),
    ]


def _request(direction: int, number: int, size: int) -> int:
    return direction << 30 | size << 16 | ord("V") << 8 | number


_WRITE, _READ, _BOTH = 1, 2, 3
REQUESTS = {
    "VIDIOC_QUERYCAP": _request(_READ, 0, ctypes.sizeof(Capability)),
    "VIDIOC_S_FMT": _request(_BOTH, 5, ctypes.sizeof(Format)),
    "VIDIOC_REQBUFS": _request(_BOTH, 8, ctypes.sizeof(RequestBuffers)),
    "VIDIOC_QUERYBUF": _request(_BOTH, 9, ctypes.sizeof(Buffer)),
    "VIDIOC_QBUF": _request(_BOTH, 15, ctypes.sizeof(Buffer)),
    "VIDIOC_DQBUF": _request(_BOTH, 17, ctypes.sizeof(Buffer)),
    "VIDIOC_STREAMON": _request(_WRITE, 18, ctypes.sizeof(ctypes.c_int)),
    "VIDIOC_STREAMOFF": _request(_WRITE, 19, ctypes.sizeof(ctypes.c_int)),
    "VIDIOC_S_PARM": _request(_BOTH, 22, ctypes.sizeof(StreamParameters)),
}
"""The kernel's name of a request -> its number."""


def fourcc(name: str) -> int:
    """Return the number of a four-letter pixel format."""
    return int.from_bytes(name.encode("ascii"), "little")


class Device(Protocol):
    """An open V4L2 device; every method raises OSError as the kernel does."""

    def ioctl(self, request: str, argument: Any) -> None:
        """Make a request of REQUESTS; the kernel answers in `argument`."""
        ...

    def map(self, offset: int, length: int) -> Any:
        """Return the memory of a buffer."""
        ...

    def wait(self, timeout_s: float) -> bool:
        """Return whether a buffer, or an error, is there within `timeout_s`."""
        ...

    def close(self) -> None:
        """Close the device and its memory."""
        ...


class DeviceFile:
    """A real device of the kernel."""

    def __init__(self, path: str) -> None:
        self._file = os.open(path, os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)
        self._maps: list[mmap.mmap] = []

    def ioctl(self, request: str, argument: Any) -> None:
        """Make a request of REQUESTS; the kernel answers in `argument`."""
        fcntl.ioctl(self._file, REQUESTS[request], argument)

    def map(self, offset: int, length: int) -> mmap.mmap:
        """Return the memory of a buffer."""
        self._maps.append(mmap.mmap(self._file, length, offset=offset))
        return self._maps[-1]

    def wait(self, timeout_s: float) -> bool:
        """Return whether a buffer, or an error, is there within `timeout_s`."""
        poll = select.poll()
        poll.register(self._file, select.POLLIN)
        return bool(poll.poll(max(timeout_s, 0.0) * 1e3))

    def close(self) -> None:
        """Close the device and its memory."""
        for mapped in self._maps:
            mapped.close()
        os.close(self._file)
