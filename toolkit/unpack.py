"""Unpack an archive that somebody else made: nothing outside the folder, and only so much."""

from __future__ import annotations

import shutil
import tarfile
import zlib
from pathlib import Path, PurePosixPath

from toolkit.errors import InputError
from toolkit.progress import Progress, ProgressCallback, silent
from toolkit.shell import quoted

__all__ = ["unpack_tgz"]

_GROWTH = 8
"""Pictures hardly shrink in an archive: one that grows more than this is a bomb."""
_MAX_MEMBERS = 2_000_000


def unpack_tgz(archive: Path, folder: Path, *, progress: ProgressCallback = silent) -> int:
    """Write the files of `archive` (.tgz) to `folder`, without its outermost folder; count them.

    Raises InputError for a damaged archive, and for a member that would lie outside `folder`, is
    a link or a device, comes twice, or makes the whole too large: that member is not written.
    """
    packed = archive.stat().st_size
    limit = packed * _GROWTH + (1 << 20)
    files = members = size = 0
    try:
        with archive.open("rb") as raw, tarfile.open(fileobj=raw, mode="r|gz") as tar:
            for member in tar:
                members += 1
                size += member.size
                if size > limit or members > _MAX_MEMBERS:
                    raise _refused(archive, f"it would unpack to more than {limit:,} bytes")
                place = _place(archive, member)
                if not member.isfile() or place is None:
                    continue
                _write(tar, member, folder / place)
                files += 1
                if files % 500 == 0:
                    progress(Progress("unpack", raw.tell() >> 20, packed >> 20, f"{files} files"))
    except (tarfile.TarError, EOFError, zlib.error) as error:
        raise InputError(
            f"{archive} is damaged: {str(error) or 'it ends early'}.",
            next_command=f"rm {quoted(archive)}",
        ) from error
    return files


def _place(archive: Path, member: tarfile.TarInfo) -> Path | None:
    """Return where a member belongs, None for the outermost folder and what lies beside it."""
    path = PurePosixPath(member.name)
    if path.is_absolute() or ".." in path.parts:
        raise _refused(archive, f"its member {member.name!r} would lie outside the folder")
    if not (member.isfile() or member.isdir()):
        raise _refused(archive, f"its member {member.name!r} is a link or a device")
    return Path(*path.parts[1:]) if len(path.parts) > 1 else None


def _write(tar: tarfile.TarFile, member: tarfile.TarInfo, path: Path) -> None:
    content = tar.extractfile(member)
    if content is None:
        raise tarfile.ReadError(f"{member.name} has no content")
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        with path.open("xb") as file:
            shutil.copyfileobj(content, file)
    except FileExistsError as error:
        raise tarfile.ReadError(f"{member.name} comes twice") from error


def _refused(archive: Path, reason: str) -> InputError:
    return InputError(
        f"{archive} was not unpacked: {reason}.", next_command=f"tar -tzf {quoted(archive)}"
    )
