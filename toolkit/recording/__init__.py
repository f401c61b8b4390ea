"""A recorded camera session on disk: what `live --record DIR` writes and `replay://DIR` shows.

    recording.json   the camera, when, and at the end how many frames; written atomically
    frames.jsonl     a line a frame: index, times, origin, file; written after the picture
    answers.jsonl    the result lines of the run, as `--results` writes them
    00000000.bmp     pictures, without loss, so that an engine answers to them as it did

A picture counts once its line is there, so a killed run leaves a recording that ends early.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from toolkit.atomic import write_text
from toolkit.errors import ImageError, InputError
from toolkit.images import read_image
from toolkit.shell import quoted

__all__ = [
    "ANSWERS",
    "FRAMES",
    "RecordedFrame",
    "Recording",
    "pictures",
    "read_recording",
    "write_head",
]

FRAMES, ANSWERS = "frames.jsonl", "answers.jsonl"
_HEAD = "recording.json"
_KIND, _VERSION = "edgekit recording", 1


@dataclass(frozen=True)
class RecordedFrame:
    """`captured_at_s` and `given_at_s`, when the camera handed it over, are on one clock."""

    index: int
    captured_at_s: float
    given_at_s: float
    origin: str
    file: str

    def line(self) -> str:
        """Return the JSON line."""
        return json.dumps(asdict(self)) + "\n"


@dataclass(frozen=True)
class Recording:
    """`complete` is False for one that a killed run left; its frames can be shown all the same."""

    folder: Path
    camera: str
    complete: bool
    frames: tuple[RecordedFrame, ...]

    @property
    def seconds(self) -> float:
        """Return the time from the first frame's capture to the last one's."""
        return self.frames[-1].captured_at_s - self.frames[0].captured_at_s

    def path(self, frame: RecordedFrame) -> Path:
        """Return where the picture is."""
        return self.folder / frame.file


def write_head(folder: Path, *, camera: str, started_at: str, complete: bool, **more: Any) -> None:
    """Write recording.json, atomically."""
    values = {
        "kind": _KIND,
        "version": _VERSION,
        "camera": camera,
        "started_at": started_at,
        "complete": complete,
        **more,
    }
    write_text(folder / _HEAD, json.dumps(values, indent=1) + "\n")


def read_recording(folder: Path) -> Recording:
    """Return what is recorded in `folder`. Raises InputError when it is none, or is damaged."""
    try:
        head = json.loads((folder / _HEAD).read_text(encoding="utf-8"))
        if head["kind"] != _KIND:
            raise ValueError(f"{_HEAD} is of kind {head['kind']!r}")
        if head["version"] > _VERSION:
            raise InputError(
                f"{folder} was recorded by a newer Edgekit (version {head['version']}).",
                next_command="pip install --upgrade edgekit",
            )
        frames = tuple(map(_frame, _whole_lines(folder / FRAMES)))
        recording = Recording(folder, str(head["camera"]), bool(head["complete"]), frames)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise _no_recording(folder, f"{type(error).__name__}: {error}") from error
    if not recording.frames:
        raise _no_recording(folder, "it holds no frames")
    return recording


def pictures(recording: Recording) -> Iterator[tuple[int, NDArray[np.uint8]]]:
    """Yield the index and the BGR picture (H, W, 3) of every frame that can be decoded."""
    for frame in recording.frames:
        try:
            image = read_image(recording.path(frame))
        except ImageError:
            continue  # the replay counts it as damaged
        yield frame.index, image[..., ::-1]


def _frame(values: dict[str, Any]) -> RecordedFrame:
    file = str(values["file"])
    if Path(file).name != file:  # a recording from elsewhere must not name other files
        raise ValueError(f"{FRAMES} names a file outside the folder: {file!r}")
    captured_s, given_s = float(values["captured_at_s"]), float(values["given_at_s"])
    if not math.isfinite(captured_s + given_s):
        raise ValueError(f"{FRAMES} has a time that is no number")
    return RecordedFrame(int(values["index"]), captured_s, given_s, str(values["origin"]), file)


def _whole_lines(path: Path) -> list[dict[str, Any]]:
    """Return the lines; the last one without its end is what a killed run was writing."""
    text = path.read_text(encoding="utf-8")
    return [json.loads(line) for line in text[: text.rfind("\n") + 1].splitlines()]


def _no_recording(folder: Path, why: str) -> InputError:
    return InputError(
        f"{folder} is not a recording of edgekit live ({why}).",
        next_command=f"edgekit live ENGINE --camera URI --record {quoted(folder)}",
    )
