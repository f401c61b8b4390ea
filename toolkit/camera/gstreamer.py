"""`gst://PIPELINE` and `csi://0?width=1280&height=720&fps=30`: cameras through GStreamer.

A pipeline is written as for `gst-launch-1.0`, without its sink. GStreamer's bindings (`gi`) are a
package of the system, built for the system's Python only; pip's OpenCV has no GStreamer. So the
pipeline runs in a process of `/usr/bin/python3` that hands frames over a pipe. That works from
any virtual environment, on JetPack and on Debian, and a plug-in that crashes ends the stream, not
the loop. A thread empties the pipe all the time, and the sink drops what comes late.

A live source's frames carry base time + PTS; any other's only the moment they were read.
"""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import IO

import numpy as np

from toolkit.camera import gstreamer_process
from toolkit.camera.frame import Camera, Frame, Status
from toolkit.camera.gstreamer_process import FAILED, FRAME, GSTREAMER_TIME, UNPLUGGED
from toolkit.camera.newest import NewestCamera
from toolkit.camera.uri import CameraUri
from toolkit.clock import Clock
from toolkit.errors import CameraError, MissingDependencyError
from toolkit.images import MAX_PIXELS

__all__ = ["open_csi", "open_gstreamer"]

SYSTEM_PYTHON = "/usr/bin/python3"
CSI = (
    "nvarguscamerasrc sensor-id={number}"
    " ! video/x-raw(memory:NVMM),width={width},height={height},framerate={fps}/1"
    " ! nvvidconv ! video/x-raw,format=BGRx"
)
_INSTALL = (
    "sudo apt-get install python3-gi gir1.2-gstreamer-1.0 gir1.2-gst-plugins-base-1.0 "
    "gstreamer1.0-plugins-base gstreamer1.0-plugins-good"
)
_FIRST_FRAME_S = 15.0  # nvarguscamerasrc takes seconds to start
_STOP_S = 2.0


@contextmanager
def open_gstreamer(uri: CameraUri, *, paced: bool, clock: Clock) -> Iterator[Camera]:
    """Yield the camera at the end of a pipeline. Raises CameraError when it gives no frame."""
    pipeline = uri.secret.partition("://")[2]  # as it was written: ? and % are the pipeline's
    with _open(uri, pipeline, paced, clock) as camera:
        yield camera


@contextmanager
def open_csi(uri: CameraUri, *, paced: bool, clock: Clock) -> Iterator[Camera]:
    """Yield a Jetson's CSI camera by its number. Raises CameraError when it gives no frame."""
    uri.check_options({"width", "height", "fps"})
    if not uri.target.isdecimal():
        raise CameraError(
            f"{uri.text} names no sensor: it is csi://0 or another number.",
            next_command="edgekit live ENGINE --camera csi://0",
        )
    pipeline = CSI.format(
        number=int(uri.target),
        width=int(uri.number("width", 1280, low=1, high=16384)),
        height=int(uri.number("height", 720, low=1, high=16384)),
        fps=int(uri.number("fps", 30, low=1, high=1000)),
    )
    with _open(uri, pipeline, paced, clock) as camera:
        yield camera


@contextmanager
def _open(uri: CameraUri, pipeline: str, paced: bool, clock: Clock) -> Iterator[Camera]:
    python = shutil.which(SYSTEM_PYTHON)
    if python is None:
        raise MissingDependencyError(
            f"{uri.scheme}:// runs in the system's Python, and {SYSTEM_PYTHON} does not exist.",
            next_command=_INSTALL,
        )
    command = [python, "-I", str(Path(gstreamer_process.__file__)), pipeline]
    # GStreamer's own warnings would stand beside the one message that the user gets.
    process = subprocess.Popen(
        [*command, "paced" if paced else "saturated"],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    )
    assert process.stdout is not None  # it was asked for above
    receive = partial(_receive, uri, process.stdout, paced)
    camera = NewestCamera(uri.text, receive, clock, "GStreamer")
    try:
        if not camera.await_first(_FIRST_FRAME_S):
            raise CameraError(
                f"{uri.text} gave no frame within {_FIRST_FRAME_S:g} s.",
                next_command="gst-inspect-1.0 --version",
            )
        yield camera
    finally:
        camera.stop.set()
        process.terminate()
        try:
            process.wait(_STOP_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        camera.close()
        process.stdout.close()


def _receive(uri: CameraUri, pipe: IO[bytes], paced: bool, camera: NewestCamera) -> Status:
    while len(head := pipe.read(FRAME.size)) == FRAME.size:
        width, height, stride, index, nanoseconds, kind = FRAME.unpack(head)
        if not width:
            return _status(uri, kind, pipe.read(stride).decode("utf-8", "replace"))
        if stride * height > 4 * MAX_PIXELS:
            raise CameraError(
                f"{uri.text} gives {width} x {height} pixels, more than {MAX_PIXELS}.",
                next_command="edgekit live ENGINE --camera synthetic://640x480",
            )
        rows = np.frombuffer(pipe.read(stride * height), np.uint8)
        if rows.size < stride * height:
            break
        image = rows.reshape(height, stride)[:, : width * 3].reshape(height, width, 3)
        origin = "gstreamer" if kind == GSTREAMER_TIME else "read"
        frame = Frame(np.ascontiguousarray(image), index, nanoseconds / 1e9, origin)
        camera.offer(frame, wait=not paced and kind != GSTREAMER_TIME)
    return Status.CUT_OFF  # the process died


def _status(uri: CameraUri, kind: int, text: str) -> Status:
    if kind == UNPLUGGED:
        return Status.UNPLUGGED
    if kind != FAILED:
        return Status.END
    if text.startswith("no bindings"):
        raise MissingDependencyError(
            f"{uri.scheme}:// needs GStreamer's bindings in {SYSTEM_PYTHON} ({text}).",
            next_command=_INSTALL,
        )
    if 'no element "nv' in text:
        raise CameraError(
            f"{uri.text}: GStreamer has {text}: this is no Jetson with JetPack's multimedia.",
            next_command="sudo apt-get install nvidia-l4t-gstreamer",
        )
    raise CameraError(
        f"{uri.text}: GStreamer says: {text}", next_command="gst-inspect-1.0 --version"
    )
