"""`images://DIR` or `images://LIST.txt`: pictures of a folder, or a list of paths, one a frame.

A folder is searched with its subfolders, in order of path. `fps=N` sets the rate (0: as fast as
possible), `loop=1` starts again after the last.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from toolkit.camera.frame import Camera, Frame, Status, bgr_from
from toolkit.camera.pace import Pace, pace_from_uri
from toolkit.camera.uri import CameraUri
from toolkit.clock import Clock
from toolkit.errors import CameraError, ImageError
from toolkit.images import IMAGE_SUFFIXES, read_image
from toolkit.shell import quoted

__all__ = ["ImagesCamera", "open_images"]


class ImagesCamera:
    """Shows one picture after another; one that cannot be decoded is a DAMAGED frame."""

    def __init__(
        self, uri: str, paths: list[Path], pace: Pace, clock: Clock, *, loop: bool = False
    ) -> None:
        self.uri = uri
        self._paths = paths
        self._pace = pace
        self._clock = clock
        self._loop = loop
        self._index = 0

    def read(self, timeout_s: float) -> Frame | Status:
        """Return the next picture, END after the last, DAMAGED or TIMED_OUT."""
        if self._index >= len(self._paths) and not self._loop:
            return Status.END
        if self._pace.wait(timeout_s) is None:
            return Status.TIMED_OUT
        index, self._index = self._index, self._index + 1
        try:
            image = read_image(self._paths[index % len(self._paths)])
        except ImageError:
            return Status.DAMAGED
        return Frame(bgr_from(image[..., ::-1]), index, self._clock(), "read")


@contextmanager
def open_images(uri: CameraUri, *, paced: bool, clock: Clock) -> Iterator[Camera]:
    """Yield a camera that shows pictures. Raises CameraError when there are none."""
    uri.check_options({"fps", "loop"})
    paths = _paths(uri.path())
    if not paths:
        raise CameraError(
            f"{uri.target} holds no pictures ({', '.join(sorted(IMAGE_SUFFIXES))}).",
            next_command=f"ls {quoted(uri.target)}",
        )
    pace = pace_from_uri(uri, paced=paced, own_fps=0.0, clock=clock)
    yield ImagesCamera(uri.text, paths, pace, clock, loop=uri.flag("loop"))


def _paths(target: Path) -> list[Path]:
    if target.is_dir():
        list(target.iterdir())  # raises where rglob passes over a folder that cannot be read
        return sorted(path for path in target.rglob("*") if path.suffix.lower() in IMAGE_SUFFIXES)
    if target.suffix.lower() in IMAGE_SUFFIXES and target.is_file():
        return [target]
    try:
        lines = target.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        reason = "is not a text file of paths" if target.is_file() else "does not exist"
        raise CameraError(
            f"{target} {reason}: images:// wants a folder, a picture or a list of paths.",
            next_command=f"ls -l {quoted(target)}",
        ) from error
    return [target.parent / line.strip() for line in lines if line.strip()]
