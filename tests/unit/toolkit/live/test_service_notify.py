from __future__ import annotations

import socket
import time
from pathlib import Path

import pytest

from tests.unit.toolkit.live.live_parts import AnsweringSession, ScriptedCamera, frame
from toolkit.clock import VirtualClock
from toolkit.live import run_live
from toolkit.live.service_notify import ServiceNotifier, open_notifier


class Ticks:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def told(listener: socket.socket) -> list[str]:
    listener.setblocking(False)
    messages = []
    while True:
        try:
            messages.append(listener.recv(100).decode())
        except BlockingIOError:
            return messages


def answer_frames(notifier: ServiceNotifier, n: int) -> None:
    camera = ScriptedCamera(frame(i, 0.0) for i in range(n))
    run_live(
        AnsweringSession(),
        camera,
        policy="queue",
        warmup=0,
        views=[notifier],
        clock=VirtualClock(),
    )


@pytest.mark.parametrize("abstract", [False, True])
def test_systemd_hears_ready_alive_and_stopping(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, abstract: bool
) -> None:
    monkeypatch.setattr("toolkit.live.service_notify._PING_EVERY_S", 1e9)
    name = f"@edgekit-test-{time.monotonic_ns()}" if abstract else str(tmp_path / "notify")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listener:
        listener.bind(name.replace("@", "\0") if abstract else name)
        with open_notifier(name) as notifier:
            answer_frames(notifier, 50)
            notifier._next_s = 0.0
            answer_frames(notifier, 1)
        assert told(listener) == ["READY=1\nWATCHDOG=1", "WATCHDOG=1", "STOPPING=1"]


def test_frames_are_told_at_most_once_a_second(tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listener:
        listener.bind(str(tmp_path / "notify"))
        ticks = Ticks()
        notifier = ServiceNotifier(str(tmp_path / "notify"), clock=ticks)
        for _ in range(30):
            answer_frames(notifier, 1)
            ticks.now += 0.1
        notifier.close()
        assert told(listener).count("WATCHDOG=1") == 2


def test_a_socket_where_nobody_listens_does_not_stop_the_frames(tmp_path: Path) -> None:
    with open_notifier(str(tmp_path / "none")) as notifier:
        answer_frames(notifier, 2)
