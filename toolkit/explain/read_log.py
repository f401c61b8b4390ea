"""Read a log of any size and origin as text: its beginning and its end, without terminal codes."""

from __future__ import annotations

import re
import stat
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from toolkit.errors import InputError
from toolkit.shell import quoted

__all__ = ["LogText", "read_log"]

_HEAD_BYTES = 1 << 20  # what a run printed about its surroundings, and the first error
_TAIL_BYTES = 4 << 20  # how it ended
_PIECE = 1 << 16
_LINE_CHARS = 2000
_LONG_LINE = re.compile(rf"([^\n\r]{{{_LINE_CHARS}}})[^\n\r]+")
_TERMINAL = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]{0,512}(?:\x07|\x1b\\)|[@-Z\\-_])")
_NOT_TEXT = bytes({*range(0x01, 0x20), 0x7F} - {0x08, 0x09, 0x0A, 0x0C, 0x0D, 0x1B})
_MOST_NOT_TEXT = 0.05
_BOMS = {b"\xff\xfe": "utf-16-le", b"\xfe\xff": "utf-16-be"}  # redirected in PowerShell


@dataclass(frozen=True)
class LogText:
    """What was read: `head` and `tail` with nothing known in between, or all of it in `head`."""

    head: str
    tail: str
    skipped_bytes: int

    @property
    def text(self) -> str:
        """Return both as lines; what a progress bar overwrote is a line, too."""
        return (self.head + self.tail).replace("\r", "\n")

    def line_of(self, start: int) -> int | None:
        """Return the number of the line at character `start`; None behind what was skipped."""
        if self.skipped_bytes and start >= len(self.head):
            return None
        return (self.head + self.tail).count("\n", 0, start) + 1


def read_log(path: Path) -> LogText:
    """Return the first MiB and the last four of `path`, a file or a pipe.

    Raises InputError when it cannot be read, is empty or holds no text.
    """
    try:
        with path.open("rb") as file:
            head = _read(file, _HEAD_BYTES)
            if stat.S_ISREG(path.stat().st_mode):
                tail, skipped = _end_of_file(file, path.stat().st_size)
            else:
                tail, skipped = _end_of_stream(file)
    except OSError as error:
        raise InputError(
            f"The log {path} cannot be read: {error.strerror or error}.",
            next_command=f"ls -l {quoted(path)}",
        ) from error
    if not (head + tail).strip(b"\0 \r\n\t"):
        raise InputError(
            f"The log {path} is empty.", next_command="trtexec --verbose 2>&1 | tee build.log"
        )
    encoding = _BOMS.get(head[:2], "utf-8")
    if encoding == "utf-8":
        _check_text(path, head)
    first = _plain(head[2:] if encoding != "utf-8" else head, encoding)
    if skipped:
        first += "\n"
    return LogText(first, _plain(tail, encoding), skipped)


def _read(file: BinaryIO, most: int) -> bytes:
    pieces: list[bytes] = []
    while most > 0 and (piece := file.read(min(_PIECE, most))):
        pieces.append(piece)
        most -= len(piece)
    return b"".join(pieces)


def _end_of_file(file: BinaryIO, size: int) -> tuple[bytes, int]:
    skipped = max(0, size - file.tell() - _TAIL_BYTES)
    skipped += skipped % 2  # whole characters of UTF-16
    file.seek(skipped, 1)
    return _read(file, _TAIL_BYTES), skipped


def _end_of_stream(file: BinaryIO) -> tuple[bytes, int]:
    tail = bytearray()
    skipped = 0
    while piece := file.read(_PIECE):
        tail += piece
        if (more := len(tail) - 2 * _TAIL_BYTES) > 0:
            del tail[: more + _TAIL_BYTES]
            skipped += more + _TAIL_BYTES
    return bytes(tail), skipped


def _check_text(path: Path, head: bytes) -> None:
    sample = head[:_PIECE].replace(b"\0", b"")  # a file that lost power in the middle has many
    controls = len(sample) - len(sample.translate(None, _NOT_TEXT))
    if sample and controls <= _MOST_NOT_TEXT * len(sample):
        return
    if head.startswith(b"\x1f\x8b"):
        how = f"zcat {quoted(path)} | edgekit doctor --log -"
    else:
        how = f"edgekit inspect {quoted(path)}"
    raise InputError(f"{path} is no text log: it holds binary data.", next_command=how)


def _plain(content: bytes, encoding: str) -> str:
    text = content.replace(b"\0", b"") if encoding == "utf-8" else content
    decoded = text.decode(encoding, "replace").replace("\r\n", "\n")
    return _LONG_LINE.sub(r"\1", _TERMINAL.sub("", decoded))
