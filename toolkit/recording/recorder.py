"""Record a live run: every frame as the camera gave it, its times, and the answers.

The loop never waits for the disk: frames that find 64 MiB waiting are lost and counted.
"""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timezone
from io import BytesIO
from pathlib import Path
from typing import Any, BinaryIO

from PIL import Image

from toolkit.camera.frame import Camera, Frame, Status
from toolkit.clock import MONOTONIC, Clock
from toolkit.errors import InputError, MachineError
from toolkit.recording import ANSWERS, FRAMES, RecordedFrame, write_head
from toolkit.results import Result, result_line
from toolkit.shell import quoted

__all__ = ["Recorder", "open_recorder"]

_WAITING_BYTES = 64 * 2**20
_CLOSE_S = 10.0


@dataclass(frozen=True)
class _Given:
    """A frame and when the camera handed it over."""

    frame: Frame
    at_s: float


@dataclass(frozen=True)
class _Answered:
    """A result and the time of day at which it was ready."""

    result: Result
    wall_s: float


class Recorder:
    """A sink for results; `watch` gives the camera whose frames are recorded.

    `frames` were written, `lost` frames and answers were not, because the disk was too slow. When
    `limit` bytes are written the recording is `full` and ends; the loop goes on.
    """

    def __init__(self, folder: Path, *, limit: int, clock: Clock = MONOTONIC) -> None:
        self.folder = folder
        self.frames = 0
        self.lost = 0
        self.written = 0
        self.full = False
        self._limit = limit
        self._clock = clock
        self._waiting: queue.SimpleQueue[_Given | _Answered | None] = queue.SimpleQueue()
        self._waiting_bytes = 0
        self._lock = threading.Lock()  # two threads give, one takes
        self._error: OSError | None = None
        self._lines = {name: (folder / name).open("ab") for name in (FRAMES, ANSWERS)}
        self._thread = threading.Thread(target=self._run, name="record", daemon=True)
        self._thread.start()

    def watch(self, camera: Camera) -> Camera:
        """Return a camera that gives what `camera` gives, and has it recorded."""
        return _Watched(camera, self)

    def put_frame(self, frame: Frame) -> None:
        """Take a frame that the camera just gave."""
        self._give(_Given(frame, self._clock()), frame.image.nbytes)

    def put(self, result: Result) -> None:
        """Take one result. Raises MachineError after a failed write."""
        if self._error is not None:
            raise MachineError(
                f"The recording in {self.folder} cannot go on: "
                f"{self._error.strerror or self._error}.",
                next_command=f"df -h {quoted(self.folder)}",
            ) from self._error
        self._give(_Answered(result, time.time()), 0)

    def close(self) -> bool:
        """Write what waits, and end; return whether all of it was written."""
        self._waiting.put(None)
        self._thread.join(_CLOSE_S)
        if self._thread.is_alive():
            return False  # it hangs in a write; the files go when the process does
        for file in self._lines.values():
            file.close()
        return self._error is None

    def line(self) -> str:
        """Return what was recorded, for a person."""
        parts = [f"recorded {self.frames} frames, {self.written / 2**20:.1f} MiB: {self.folder}"]
        if self.full:
            parts.append("it is full, the run went on without it")
        if self.lost:
            parts.append(f"{self.lost} frames or answers were lost: the disk was too slow")
        return "; ".join(parts)

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON values."""
        return {
            "folder": str(self.folder),
            "frames": self.frames,
            "bytes": self.written,
            "lost": self.lost,
            "full": self.full,
        }

    def _give(self, item: _Given | _Answered, size: int) -> None:
        if self.full or self._error is not None:
            return
        with self._lock:
            if self._waiting_bytes and self._waiting_bytes + size > _WAITING_BYTES:
                self.lost += 1
                return
            self._waiting_bytes += size
        self._waiting.put(item)

    def _run(self) -> None:
        while (item := self._waiting.get()) is not None:
            try:
                if not self.full and self._error is None:
                    self._write(item)
            except OSError as error:
                self._error = error  # raised by the next `put`
            if isinstance(item, _Given):
                with self._lock:
                    self._waiting_bytes -= item.frame.image.nbytes

    def _write(self, item: _Given | _Answered) -> None:
        if isinstance(item, _Answered):
            self._append(ANSWERS, result_line(item.result, wall_s=item.wall_s).encode())
            return
        frame, file = item.frame, f"{item.frame.index:08d}.bmp"
        # BMP keeps every bit for 0.4 ms at 640x480; PNG takes 19 to 30 ms and two thirds the space.
        picture = BytesIO()
        Image.fromarray(frame.image[..., ::-1]).save(picture, "BMP")
        if self.written + picture.tell() > self._limit:
            self.full = True
            return
        (self.folder / file).write_bytes(picture.getbuffer())
        self.written += picture.tell()
        recorded = RecordedFrame(frame.index, frame.captured_at_s, item.at_s, frame.origin, file)
        self._append(FRAMES, recorded.line().encode())
        self.frames += 1

    def _append(self, name: str, line: bytes) -> None:
        file: BinaryIO = self._lines[name]
        file.write(line)
        file.flush()
        self.written += len(line)


class _Watched:
    """A camera whose frames go to a recorder, too."""

    def __init__(self, camera: Camera, recorder: Recorder) -> None:
        self.uri = camera.uri
        self._camera = camera
        self._recorder = recorder

    def read(self, timeout_s: float) -> Frame | Status:
        """Return what the camera gives."""
        got = self._camera.read(timeout_s)
        if isinstance(got, Frame):
            self._recorder.put_frame(got)
        return got


@contextmanager
def open_recorder(folder: Path, *, mib: int, camera: str) -> Iterator[Recorder]:
    """Yield a recorder into `folder`, which must be new or empty; `camera` is the URI to note.

    Raises InputError when the folder holds something, MachineError when it cannot be written.
    """
    started_at = datetime.now(timezone.utc).isoformat(timespec="seconds")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if any(folder.iterdir()):
            raise InputError(
                f"{folder} is not empty: a recording needs a folder of its own.",
                next_command=f"edgekit live ENGINE --camera URI --record {quoted(f'{folder}-2')}",
            )
        write_head(folder, camera=camera, started_at=started_at, complete=False)
        recorder = Recorder(folder, limit=mib * 2**20)
    except OSError as error:
        raise MachineError(
            f"Nothing can be recorded in {folder}: {error.strerror or error}.",
            next_command=f"ls -ld {quoted(folder)}",
        ) from error
    try:
        yield recorder
    finally:
        # Pictures are not synced one by one: the disk would set the frame rate.
        complete = recorder.close()
        write_head(
            folder,
            camera=camera,
            started_at=started_at,
            complete=complete,
            frames=recorder.frames,
            lost=recorder.lost,
            full=recorder.full,
        )
