"""Decodes and prepares a clip's frames at a given rate, in a process of its own.

    python -m benchmarks.live_neighbour ENGINE CLIP FPS

What the live loop does beside the engine, without the loop: `benchmarks.live` runs inference next
to it, to tell what a busy second core costs from what the loop costs. Says "ready" after its
first frame; ends when stdin closes.
"""

from __future__ import annotations

import sys
import threading
import time
from pathlib import Path

from toolkit.camera import open_camera
from toolkit.camera.frame import Frame
from toolkit.live.frame_steps import frame_steps
from toolkit.runtime import open_session

__all__ = ["main"]


def main() -> None:
    engine, clip, fps = sys.argv[1:]
    ended = threading.Event()

    def wait_for_end() -> None:
        sys.stdin.read()
        ended.set()

    threading.Thread(target=wait_for_end, daemon=True).start()
    with (
        open_session(Path(engine), threads=1) as session,
        open_camera(f"file://{clip}?loop=1", paced=False) as camera,
    ):
        prepare, _answer = frame_steps(session)
        due_s = time.monotonic()
        while not ended.is_set():
            frame = camera.read(1.0)
            if not isinstance(frame, Frame):
                raise SystemExit(f"the clip ended: {frame}")
            prepare(frame.image)
            if frame.index == 0:
                print("ready", flush=True)
            due_s = max(due_s + 1.0 / float(fps), time.monotonic() - 0.1)
            ended.wait(max(0.0, due_s - time.monotonic()))


if __name__ == "__main__":
    main()
