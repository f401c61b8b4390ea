"""`edgekit dataset fetch`: a published data set in, a folder of class folders out."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

from toolkit.atomic import check_writable, new_folder
from toolkit.datasets.catalog import find_published
from toolkit.download import download
from toolkit.errors import InputError
from toolkit.progress import ProgressCallback, silent
from toolkit.shell import quoted
from toolkit.unpack import unpack_tgz

__all__ = ["Fetched", "fetch_dataset"]

_RECORD = "dataset.json"


@dataclass(frozen=True)
class Fetched:
    """A data set on this machine: `checksum` is the one its archive had."""

    root: Path
    name: str
    checksum: str
    files: int


def fetch_dataset(name: str, *, out: Path, progress: ProgressCallback = silent) -> Fetched:
    """Fetch the data set `name` of the catalog to the folder `out`, with its train/ and val/.

    `out` appears complete or not at all; where it holds this data set already, nothing is done.
    What was fetched before a kill lies beside it (.NAME.tgz.partial) and is used. Raises
    InputError for an unknown name, a foreign folder, and what `download` and `unpack_tgz` refuse;
    MachineError when the disk is full.
    """
    name, published = find_published(name)
    there = _already(out, name)
    if there is not None:
        return there
    archive = out.absolute().with_name(f".{name}.tgz.partial")
    check_writable(archive)
    checksum = download(published.url, archive, checksums=published.checksums, progress=progress)
    with new_folder(out) as unfinished:
        files = unpack_tgz(archive, unfinished, progress=progress)
        record = {"name": name, "url": published.url, "checksum": checksum, "files": files}
        (unfinished / _RECORD).write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
    archive.unlink()
    return Fetched(out, name, checksum, files)


def _already(out: Path, name: str) -> Fetched | None:
    """Return what `out` holds of this data set; raise InputError if it holds something else."""
    if not out.exists() or (out.is_dir() and not any(out.iterdir())):
        return None
    try:
        record = json.loads((out / _RECORD).read_text(encoding="utf-8"))
        if record["name"] == name:
            return Fetched(out, name, str(record["checksum"]), int(record["files"]))
    except (OSError, ValueError, KeyError, TypeError):
        pass  # not ours, or damaged: said below
    raise InputError(
        f"{out} exists and is not {name}: it is left alone.",
        next_command=f"edgekit dataset fetch {name} --out {quoted(out.with_name(name))}",
    )
