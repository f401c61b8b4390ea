"""`v4l2:///dev/video0?width=640&height=480&fps=30&format=MJPG`: a USB or other V4L2 camera.

Frames stay in the driver's memory until they are read (mmap streaming) and carry the driver's
timestamp: of the start of exposure or, with most cameras, of the end of the transfer. A reader
that comes late gets the newest frame; `index` is the driver's count, lost frames included.
`format` is MJPG or YUYV; MJPG is tried first.
"""

from __future__ import annotations

import ctypes
import errno
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from toolkit.camera import v4l2_ioctl as v4l2
from toolkit.camera.frame import Camera, Frame, Status
from toolkit.camera.jpeg import bgr_from_jpeg
from toolkit.camera.uri import CameraUri
from toolkit.camera.v4l2_ioctl import Buffer, Device, DeviceFile
from toolkit.clock import Clock
from toolkit.errors import CameraError
from toolkit.shell import quoted

__all__ = ["V4l2Camera", "open_v4l2"]

open_device: Callable[[str], Device] = DeviceFile
"""Opens the device; tests put a double here, because a camera cannot be plugged in by software."""

_FORMATS = ("MJPG", "YUYV")
_BUFFERS = 4
_GONE = (errno.ENODEV, errno.ENXIO, errno.ESHUTDOWN)


class V4l2Camera:
    """Reads a device that streams. Buffers go back to the driver as soon as they were copied."""

    def __init__(self, uri: str, device: Device, form: v4l2.Format, clock: Clock) -> None:
        self.uri = uri
        self._device = device
        self._form = form
        self._clock = clock
        self._maps = _map_buffers(device)
        self._first: int | None = None

    def read(self, timeout_s: float) -> Frame | Status:
        """Return the newest frame, DAMAGED, TIMED_OUT or UNPLUGGED."""
        try:
            if not self._device.wait(timeout_s):
                return Status.TIMED_OUT
            buffer, body = self._take()
            while self._device.wait(0):
                buffer, body = self._take()
        except BlockingIOError:
            return Status.TIMED_OUT
        except OSError as error:
            if error.errno in _GONE:
                return Status.UNPLUGGED
            if error.errno == errno.EIO:
                return Status.DAMAGED  # the driver lost this one, and goes on
            raise _error(self.uri, error) from error
        now = self._clock()
        image = None if buffer.flags & v4l2.FLAG_ERROR else self._decode(body)
        if self._first is None:
            self._first = buffer.sequence
        if image is None:
            return Status.DAMAGED
        captured_s, origin = _captured(buffer, now)
        return Frame(image, buffer.sequence - self._first, captured_s, origin)

    def close(self) -> None:
        """Stop the stream; the device can be opened by others again."""
        with suppress(OSError):  # it may have been unplugged
            self._device.ioctl("VIDIOC_STREAMOFF", ctypes.c_int(v4l2.VIDEO_CAPTURE))

    def _take(self) -> tuple[Buffer, bytes]:
        buffer = _buffer()
        self._device.ioctl("VIDIOC_DQBUF", buffer)
        body = bytes(self._maps[buffer.index][: buffer.bytesused])
        taken = Buffer.from_buffer_copy(buffer)
        self._device.ioctl("VIDIOC_QBUF", buffer)
        return taken, body

    def _decode(self, body: bytes) -> NDArray[np.uint8] | None:
        form = self._form
        if form.pixelformat == v4l2.fourcc("MJPG"):
            return bgr_from_jpeg(body.rstrip(b"\0"))
        stride = form.bytesperline or 2 * form.width
        if len(body) < stride * form.height:
            return None
        rows = np.frombuffer(body, np.uint8, stride * form.height).reshape(form.height, stride)
        pairs = np.ascontiguousarray(rows[:, : 2 * form.width]).reshape(form.height, form.width, 2)
        return np.asarray(cv2.cvtColor(pairs, cv2.COLOR_YUV2BGR_YUY2), dtype=np.uint8)


@contextmanager
def open_v4l2(uri: CameraUri, *, paced: bool, clock: Clock) -> Iterator[Camera]:
    """Yield a V4L2 camera. Raises CameraError when it is absent, busy, not ours or no camera."""
    uri.check_options({"width", "height", "fps", "format"})
    path = str(uri.path())
    try:
        device = open_device(path)
    except OSError as error:
        raise _error(path, error) from error
    try:
        try:
            _check_capture(device, path)
            form = _choose_format(device, uri)
            _choose_rate(device, uri)
            camera = V4l2Camera(uri.text, device, form, clock)
            device.ioctl("VIDIOC_STREAMON", ctypes.c_int(v4l2.VIDEO_CAPTURE))
        except OSError as error:
            raise _error(path, error) from error
        try:
            yield camera
        finally:
            camera.close()
    finally:
        device.close()


def _check_capture(device: Device, path: str) -> None:
    found = v4l2.Capability()
    device.ioctl("VIDIOC_QUERYCAP", found)
    own = found.capabilities & v4l2.CAP_DEVICE_CAPS
    can = found.device_caps if own else found.capabilities
    if not (can & v4l2.CAP_VIDEO_CAPTURE and can & v4l2.CAP_STREAMING):
        name = found.card.decode("utf-8", "replace")
        raise CameraError(
            f"{path} ({name}) streams no pictures: cameras often have a second device for data.",
            next_command="v4l2-ctl --list-devices",
        )


def _choose_format(device: Device, uri: CameraUri) -> v4l2.Format:
    wanted = uri.options.get("format", "").upper()
    if wanted and wanted not in _FORMATS:
        raise CameraError(
            f"{uri.text}: format={wanted} is not one of {', '.join(_FORMATS)}.",
            next_command=f"v4l2-ctl --device {quoted(uri.target)} --list-formats-ext",
        )
    size = (
        int(uri.number("width", 640, low=1, high=16384)),
        int(uri.number("height", 480, low=1, high=16384)),
    )
    form = v4l2.Format()
    for name in [wanted] if wanted else _FORMATS:
        form = v4l2.Format(v4l2.VIDEO_CAPTURE, 0, *size, v4l2.fourcc(name))
        device.ioctl("VIDIOC_S_FMT", form)
        if form.pixelformat == v4l2.fourcc(name):
            break
    else:
        raise CameraError(
            f"{uri.text}: the camera gives neither {' nor '.join([wanted] if wanted else _FORMATS)}"
            f" at {size[0]} x {size[1]}.",
            next_command=f"v4l2-ctl --device {quoted(uri.target)} --list-formats-ext",
        )
    asked = {"width", "height"} & uri.options.keys()
    if asked and size != (form.width, form.height):
        raise CameraError(
            f"{uri.text}: the camera has no {size[0]} x {size[1]} pictures, the nearest are "
            f"{form.width} x {form.height}.",
            next_command=f"v4l2-ctl --device {quoted(uri.target)} --list-formats-ext",
        )
    return form


def _choose_rate(device: Device, uri: CameraUri) -> None:
    fps = int(uri.number("fps", 0, low=1, high=1000))
    if fps:
        rate = v4l2.StreamParameters(v4l2.VIDEO_CAPTURE, 0, 0, 1, fps)
        try:
            device.ioctl("VIDIOC_S_PARM", rate)  # the driver takes the nearest that it has
        except OSError as error:
            if error.errno not in (errno.ENOTTY, errno.EINVAL):
                raise
            raise CameraError(
                f"{uri.text}: the camera's frame rate cannot be set.",
                next_command=f"v4l2-ctl --device {quoted(uri.target)} --list-formats-ext",
            ) from error


def _map_buffers(device: Device) -> list[Any]:
    asked = v4l2.RequestBuffers(_BUFFERS, v4l2.VIDEO_CAPTURE, v4l2.MEMORY_MMAP)
    device.ioctl("VIDIOC_REQBUFS", asked)
    maps = []
    for index in range(asked.count):
        buffer = _buffer(index)
        device.ioctl("VIDIOC_QUERYBUF", buffer)
        maps.append(device.map(buffer.offset, buffer.length))
        device.ioctl("VIDIOC_QBUF", buffer)
    return maps


def _buffer(index: int = 0) -> Buffer:
    return Buffer(index=index, type=v4l2.VIDEO_CAPTURE, memory=v4l2.MEMORY_MMAP)


def _captured(buffer: Buffer, now: float) -> tuple[float, str]:
    if buffer.flags & v4l2.FLAG_CLOCK_MASK != v4l2.FLAG_CLOCK_MONOTONIC:
        return now, "read"  # another clock: its time would mean nothing here
    exposure = buffer.flags & v4l2.FLAG_SOURCE_MASK == v4l2.FLAG_SOURCE_EXPOSURE
    return buffer.seconds + buffer.microseconds / 1e6, "exposure" if exposure else "driver"


def _error(path: str, error: OSError) -> CameraError:
    listed = "v4l2-ctl --list-devices"
    reason, command = {
        errno.ENOENT: ("does not exist: no camera is plugged in there", listed),
        errno.ENODEV: ("has no camera behind it any more", listed),
        errno.ENXIO: ("has no camera behind it any more", listed),
        errno.EACCES: ("may not be opened by you", "sudo usermod --append --groups video $USER"),
        errno.EPERM: ("may not be opened by you", "sudo usermod --append --groups video $USER"),
        errno.EBUSY: ("is in use by another program", f"fuser --verbose {quoted(path)}"),
        errno.ENOTTY: ("is no V4L2 camera", listed),
        errno.EISDIR: ("is a folder, not a camera", listed),
    }.get(error.errno or 0, (f"cannot be used: {error.strerror}", listed))
    return CameraError(f"{path} {reason}.", next_command=command)
