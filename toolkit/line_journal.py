"""Keep the results of a long run as they are made, so that a stopped one goes on where it was.

JSON lines: first what the run is of, by digest, then one line a step. A last line without its end
is what a killed run was writing, and is done again.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from toolkit.atomic import write_text
from toolkit.errors import InputError, MachineError
from toolkit.predictions import IdentifiedImage
from toolkit.shell import quoted

__all__ = ["LineJournal", "digest_of_images", "open_lines"]


class LineJournal:
    """`lines` are those of earlier runs; `add` writes one more."""

    def __init__(self, lines: Sequence[Any] = (), handle: int = -1, name: str = "") -> None:
        self.lines = tuple(lines)
        self._handle = handle
        self._name = name

    def add(self, value: Any) -> None:
        """Write one line; without a file, keep nothing. Raises MachineError when it cannot."""
        if self._handle < 0:
            return
        content = _line(value)
        try:
            while content:
                content = content[os.write(self._handle, content) :]
        except OSError as error:
            raise _machine_error(self._name, error) from error


@contextmanager
def open_lines(
    path: Path | None,
    key: dict[str, Any],
    *,
    version: int,
    of: str,
    check: Callable[[Sequence[Any]], None],
) -> Iterator[LineJournal]:
    """Yield the journal of what `key` says, such as `of` "a score"; without a path an empty one.

    `check` raises ValueError, TypeError or KeyError for lines that are not those of this run. The
    file is removed when the block ends without an error. Raises InputError for a journal of
    something else, damaged or from a newer Edgekit, MachineError when it cannot be written.
    """
    if path is None:
        yield LineJournal()
        return
    key = {"kind": f"edgekit {of.partition(' ')[2]} journal", "version": version, **key}
    kept = _read(path, key, of=of, check=check)
    # Written anew, whole lines only, so that what follows starts on a line of its own.
    write_text(path, b"".join(map(_line, (key, *kept))).decode())
    try:
        handle = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CLOEXEC)
    except OSError as error:
        raise _machine_error(str(path), error) from error
    try:
        yield LineJournal(kept, handle, str(path))
    finally:
        os.close(handle)
    with suppress(FileNotFoundError):
        path.unlink()


def digest_of_images(images: Sequence[IdentifiedImage]) -> str:
    """Return the SHA-256 of which images these are, with their labels and in which order."""
    listed = "\n".join(f"{image.digest} {image.label} {image.name}" for image in images)
    return hashlib.sha256(listed.encode("utf-8", "surrogateescape")).hexdigest()


def _read(
    path: Path, key: dict[str, Any], *, of: str, check: Callable[[Sequence[Any]], None]
) -> list[Any]:
    """Return the lines that were written to the end; none where there is no journal yet."""
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        return []
    except (OSError, UnicodeDecodeError) as error:
        raise _damaged(path, str(error)) from error
    first, *rest = text.split("\n")[:-1] or [""]  # what follows the last line end was cut off
    try:
        found = json.loads(first)
        if not isinstance(found, dict) or found.get("kind") != key["kind"]:
            raise _damaged(path, f"it is no journal of {of}")
        if found.get("version", 0) > key["version"]:
            raise InputError(
                f"{path} was written by a newer Edgekit (version {found['version']}).",
                next_command="pip install --upgrade edgekit",
            )
        lines = [json.loads(line) for line in rest]
    except (ValueError, TypeError) as error:
        raise _damaged(path, f"{type(error).__name__}: {error}") from error
    different = [name for name, value in key.items() if found.get(name) != value]
    if different:
        raise InputError(
            f"{path} was begun for something else: {', '.join(different)} differ.",
            next_command=f"rm {quoted(path)}   (or name another journal)",
        )
    try:
        check(lines)
    except (ValueError, TypeError, KeyError) as error:
        raise _damaged(path, f"{type(error).__name__}: {error}") from error
    return lines


def _line(values: Any) -> bytes:
    return (json.dumps(values, allow_nan=False) + "\n").encode()


def _damaged(path: Path, what: str) -> InputError:
    return InputError(
        f"{path} is damaged or was edited ({what}).", next_command=f"rm {quoted(path)}"
    )


def _machine_error(name: str, error: OSError) -> MachineError:
    return MachineError(
        f"The journal {name} cannot be written: {error.strerror or error}.",
        next_command=f"df -h {quoted(Path(name).parent)}",
    )
