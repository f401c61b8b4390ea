"""A real RTSP server (GStreamer's, in the system's Python) on this machine's loopback."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.unit.toolkit.camera.gstreamer_here import SYSTEM_PYTHON

_SERVER = Path(__file__).resolve().parents[3] / "doubles" / "rtsp_server.py"


@dataclass(frozen=True)
class RtspServer:
    port: int
    process: subprocess.Popen[str]

    @property
    def uri(self) -> str:
        return f"rtsp://127.0.0.1:{self.port}/stream"

    def with_login(self, login: str) -> str:
        return f"rtsp://{login}@127.0.0.1:{self.port}/stream"

    def kill(self) -> None:
        self.process.kill()
        self.process.wait(5)


@contextmanager
def rtsp_server(*options: str, port: int = 0) -> Iterator[RtspServer]:
    command = [SYSTEM_PYTHON, str(_SERVER), "--port", str(port), *options]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            word, _, number = process.stdout.readline().partition(" ")
            assert word == "ready"
            yield RtspServer(int(number), process)
        finally:
            process.kill()
