"""An RTSP server for tests and benchmarks: H.264, each frame with its time burned in as bars.

Run by the system's Python, which has GStreamer's bindings:

    /usr/bin/python3 tests/doubles/rtsp_server.py --port 0 --size 640x480 --fps 30

Prints `ready PORT` when clients may come. `--login user:password` asks for it (digest),
`--silent-after N` stops sending after N frames, `--becomes WxH` changes the resolution after 60.
"""

from __future__ import annotations

import argparse
import sys
import threading
import time
from pathlib import Path
from typing import Any

import gi

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from benchmarks.time_bars import BAR, bar_rows

gi.require_version("Gst", "1.0")
gi.require_version("GstRtspServer", "1.0")
from gi.repository import GLib, Gst, GstRtspServer  # noqa: E402 (the version comes first)

Size = tuple[int, int]


def luma_and_chroma(size: Size, burned_s: float, index: int) -> bytes:
    """Return an I420 picture: the bars, below them a ramp that moves."""
    width, height = size
    ramp = bytes((x + 4 * index) % 220 + 16 for x in range(width))
    luma = bar_rows(burned_s, width) + ramp * (height - 2 * BAR)
    return luma + b"\x80" * (width * height // 2)


class Sender:
    """Pushes frames into one client's pipeline at a steady rate."""

    def __init__(self, source: Any, factory: Any, options: argparse.Namespace) -> None:
        self._factory = factory
        self._source = source
        self._options = options
        threading.Thread(target=self._run, daemon=True).start()

    def _run(self) -> None:
        period_s = 1 / self._options.fps
        began = due = time.monotonic()
        index, size = 0, self._options.size
        while True:
            time.sleep(max(due - time.monotonic(), 0))
            if self._options.silent_after and index >= self._options.silent_after:
                return
            if self._options.becomes and index == 60:
                size = self._options.size = as_size(self._options.becomes)
                self._factory.set_launch(launch(self._options))  # for later clients
                text = caps_text(size, self._options.fps)
                self._source.set_caps(Gst.Caps.from_string(text))
            now = time.monotonic()
            buffer = Gst.Buffer.new_wrapped(luma_and_chroma(size, now, index))
            buffer.pts = buffer.dts = int((now - began) * Gst.SECOND)
            buffer.duration = int(period_s * Gst.SECOND)
            if self._source.emit("push-buffer", buffer) != Gst.FlowReturn.OK:
                return  # the client left
            index += 1
            due += period_s


def as_size(text: str) -> Size:
    width, height = map(int, text.split("x"))
    return width, height


def caps_text(size: Size, fps: int) -> str:
    return f"video/x-raw,format=I420,width={size[0]},height={size[1]},framerate={fps}/1"


def parsed() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", default="0")
    parser.add_argument("--size", default="640x480")
    parser.add_argument("--fps", type=int, default=30)
    parser.add_argument("--becomes", default="")
    parser.add_argument("--login", default="")
    parser.add_argument("--silent-after", type=int, default=0)
    options = parser.parse_args()
    options.size = as_size(options.size)
    return options


def launch(options: argparse.Namespace) -> str:
    return (
        f"( appsrc name=source is-live=true format=time block=true max-buffers=1 "
        f"caps={caps_text(options.size, options.fps)} ! videoconvert ! "
        "x264enc tune=zerolatency speed-preset=ultrafast threads=1 key-int-max=15 bitrate=2000 ! "
        "rtph264pay name=pay0 pt=96 config-interval=-1 )"
    )


def ask_for(server: Any, factory: Any, login: str) -> None:
    user, _, password = login.partition(":")
    auth = GstRtspServer.RTSPAuth()
    auth.set_supported_methods(2)  # GST_RTSP_AUTH_DIGEST
    token = GstRtspServer.RTSPToken()
    token.set_string("media.factory.role", "user")
    auth.add_digest(user, password, token)
    server.set_auth(auth)
    permissions = GstRtspServer.RTSPPermissions()
    permissions.add_permission_for_role("user", "media.factory.access", True)
    permissions.add_permission_for_role("user", "media.factory.construct", True)
    factory.set_permissions(permissions)


def main() -> None:
    Gst.init(None)
    options = parsed()
    server = GstRtspServer.RTSPServer()
    server.set_address("127.0.0.1")
    server.set_service(options.port)
    factory = GstRtspServer.RTSPMediaFactory()
    factory.set_launch(launch(options))
    factory.connect(
        "media-configure",
        lambda _, media: Sender(
            media.get_element().get_by_name_recurse_up("source"), factory, options
        ),
    )
    if options.login:
        ask_for(server, factory, options.login)
    server.get_mount_points().add_factory("/stream", factory)
    server.attach(None)
    print(f"ready {server.get_bound_port()}", flush=True)
    GLib.MainLoop().run()


if __name__ == "__main__":
    main()
