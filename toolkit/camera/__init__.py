"""Cameras by URI: `with open_camera("file://clip.mp4") as camera: camera.read(1.0)`."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from toolkit.camera.frame import ORIGINS, Camera, Frame, Status
from toolkit.camera.uri import camera_uri, did_you_mean
from toolkit.clock import MONOTONIC, Clock
from toolkit.errors import CameraError
from toolkit.lazy import load

__all__ = ["CAMERAS", "ORIGINS", "Camera", "Frame", "Status", "open_camera"]

CAMERAS = {
    "csi": "toolkit.camera.gstreamer:open_csi",
    "file": "toolkit.camera.file:open_file",
    "gst": "toolkit.camera.gstreamer:open_gstreamer",
    "http": "toolkit.camera.http:open_http",
    "images": "toolkit.camera.images:open_images",
    "replay": "toolkit.camera.replay:open_replay",
    "rtsp": "toolkit.camera.rtsp:open_rtsp",
    "synthetic": "toolkit.camera.synthetic:open_synthetic",
    "v4l2": "toolkit.camera.v4l2:open_v4l2",
}
"""Scheme -> what opens it: `open_*(uri: CameraUri, *, paced, clock)`, a context manager."""


@contextmanager
def open_camera(uri: str, *, paced: bool = True, clock: Clock = MONOTONIC) -> Iterator[Camera]:
    """Yield the camera that `uri` names; it is released at the end of the `with`.

    `paced=False` lets recorded and made-up frames come as fast as they are read, unless the URI
    gives a rate. Raises CameraError for an unknown scheme or a camera that cannot be opened.
    """
    parts = camera_uri(uri)
    if parts.scheme not in CAMERAS:
        raise CameraError(
            f"Unknown camera {parts.scheme}://{did_you_mean(parts.scheme, CAMERAS)} "
            f"(known: {', '.join(sorted(CAMERAS))}).",
            next_command="edgekit live ENGINE --camera synthetic://640x480",
        )
    opener = load(
        CAMERAS[parts.scheme], what=f"The camera {parts.scheme}://", install="pip install edgekit"
    )
    with opener(parts, paced=paced, clock=clock) as camera:
        yield camera
