"""Whether this machine has GStreamer with bindings in the system's Python."""

from __future__ import annotations

import subprocess
from functools import cache
from pathlib import Path

import pytest

SYSTEM_PYTHON = "/usr/bin/python3"
_NEEDS = (
    "import gi; gi.require_version('Gst', '1.0'); gi.require_version('GstVideo', '1.0'); "
    "from gi.repository import Gst, GstVideo; Gst.init(None); "
    "raise SystemExit(not all(Gst.ElementFactory.find(n) for n in {elements!r}))"
)


@cache
def _has(elements: tuple[str, ...], extra: str) -> bool:
    if not Path(SYSTEM_PYTHON).exists():
        return False
    program = extra + _NEEDS.format(elements=elements)
    asked = subprocess.run([SYSTEM_PYTHON, "-c", program], capture_output=True, check=False)
    return asked.returncode == 0


def need_gstreamer() -> None:
    """Skip the test where no pipeline can run."""
    if not _has(("videotestsrc", "videoconvert", "appsink"), ""):
        pytest.skip("needs python3-gi, gir1.2-gst-plugins-base-1.0 and gstreamer1.0-plugins-base")


def need_rtsp_server() -> None:
    """Skip the test where the RTSP server cannot run."""
    extra = "import gi; gi.require_version('GstRtspServer', '1.0'); "
    extra += "from gi.repository import GstRtspServer; "
    if not _has(("x264enc", "rtph264pay", "appsrc"), extra):
        pytest.skip("needs gir1.2-gst-rtsp-server-1.0 and gstreamer1.0-plugins-{good,ugly}")
