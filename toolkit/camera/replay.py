"""`replay://DIR`: a session that `edgekit live --record DIR` kept, with the rhythm it had.

Paced, each frame comes when it came then and is as old as it was then, so ages mean what they
meant. `speed=2` plays twice as fast. Not paced, frames come as fast as they are read.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from toolkit.camera.frame import ORIGINS, Camera, Frame, Status, bgr_from
from toolkit.camera.uri import CameraUri
from toolkit.clock import Clock
from toolkit.errors import CameraError, ImageError, InputError
from toolkit.images import read_image
from toolkit.recording import RecordedFrame, Recording, read_recording

__all__ = ["ReplayCamera", "open_replay"]


class ReplayCamera:
    """Decodes each frame ahead of its time. A recording that was cut off ends as CUT_OFF."""

    def __init__(self, uri: str, recording: Recording, *, speed: float, clock: Clock) -> None:
        self.uri = uri
        self._recording = recording
        self._speed = speed  # 0: as fast as it is read
        self._clock = clock
        self._next = 0
        self._ahead: Frame | Status | None = None
        self._began_s: float | None = None

    def read(self, timeout_s: float) -> Frame | Status:
        """Return the next frame, DAMAGED, TIMED_OUT, or END or CUT_OFF after the last."""
        if self._next >= len(self._recording.frames):
            return Status.END if self._recording.complete else Status.CUT_OFF
        recorded = self._recording.frames[self._next]
        if self._ahead is None:
            self._ahead = self._decode(recorded)
        due_s = self._wait(recorded, timeout_s)
        if due_s is None:
            return Status.TIMED_OUT
        ahead, self._ahead = self._ahead, None
        self._next += 1
        if isinstance(ahead, Status):
            return ahead
        if not self._speed:
            return Frame(ahead.image, ahead.index, self._clock(), "read")
        delay_s = max(recorded.given_at_s - recorded.captured_at_s, 0.0)
        return Frame(ahead.image, ahead.index, due_s - delay_s, ahead.origin)

    def _wait(self, recorded: RecordedFrame, timeout_s: float) -> float | None:
        """Return when the frame was due; None after `timeout_s` when that is later."""
        now = self._clock()
        if not self._speed:
            return now
        first_s = self._recording.frames[0].given_at_s
        offset_s = (recorded.given_at_s - first_s) / self._speed
        if self._began_s is None:
            self._began_s = now
        due_s = self._began_s + offset_s
        if due_s - now > timeout_s:
            self._clock.sleep(timeout_s)
            return None
        if due_s > now:
            self._clock.sleep(due_s - now)
        else:  # a reader that comes late gets one old frame, and the rest comes later
            self._began_s += now - due_s
        return due_s

    def _decode(self, recorded: RecordedFrame) -> Frame | Status:
        try:
            image = read_image(self._recording.path(recorded))
        except ImageError:
            return Status.DAMAGED
        return Frame(bgr_from(image[..., ::-1]), recorded.index, 0.0, recorded.origin)


@contextmanager
def open_replay(uri: CameraUri, *, paced: bool, clock: Clock) -> Iterator[Camera]:
    """Yield a camera that shows a recording. Raises CameraError when it is none."""
    uri.check_options({"speed"})
    speed = uri.number("speed", 1.0 if paced else 0.0, low=0, high=1000)
    try:
        recording = read_recording(uri.path())
    except InputError as error:
        raise CameraError(error.message, next_command=error.next_command) from error
    if unknown := {frame.origin for frame in recording.frames} - set(ORIGINS):
        raise CameraError(
            f"{uri.target} names timestamps of unknown origin: {', '.join(sorted(unknown))}.",
            next_command="pip install --upgrade edgekit",
        )
    yield ReplayCamera(uri.text, recording, speed=speed, clock=clock)
