"""One archive with everything a build needs on a device that has only sh and trtexec.

`NAME/bundle.json` says what is inside, with the SHA-256 of every file; `sh NAME/build.sh` builds.
Equal inputs give equal bytes.
"""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import tarfile
import zlib
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np

import toolkit
from targets.catalog import Target
from targets.decision import Decision
from toolkit.artifacts import OnnxModel, digest_of_file
from toolkit.atomic import replace_file
from toolkit.build.request import BatchRange
from toolkit.contract import Contract
from toolkit.errors import InputError
from toolkit.golden import Golden, golden_for
from toolkit.remote.build_script import TrtexecFlags, build_script, flags_for, verify_script
from toolkit.shell import quoted

__all__ = [
    "FOLDER",
    "Bundle",
    "BundleParts",
    "golden_of",
    "make_bundle",
    "read_bundle",
    "write_bundle",
]

FOLDER = "edgekit-bundle"
"""The folder that the archive unpacks to."""

_KIND = "edgekit bundle"
_VERSION = 1
_PICTURES = 4  # each costs a start of trtexec on the device
_MOST_FILES = 256
_MOST_BYTES = 3 << 30  # an ONNX file is below 2 GiB
_EXECUTABLE = ("build.sh", "verify.sh")


@dataclass(frozen=True)
class Bundle:
    """What is sent to a device. `files` are all but bundle.json, name to bytes."""

    description: dict[str, Any]
    files: Mapping[str, bytes]

    @property
    def digest(self) -> str:
        """Return the SHA-256 of the description, which names every file by its own."""
        return hashlib.sha256(self.description_json()).hexdigest()

    def description_json(self) -> bytes:
        """Return the bytes of bundle.json."""
        return (json.dumps(self.description, indent=1, sort_keys=True) + "\n").encode()


@dataclass(frozen=True)
class BundleParts:
    """A bundle with what it was made from, which the builder needs again for the manifest."""

    bundle: Bundle
    contract: Contract
    """The engine's: the batch it will have, 0 for a range."""
    golden: Golden
    """The pictures inside, and what the engine must answer."""
    flags: TrtexecFlags


def make_bundle(
    model: OnnxModel,
    target: Target,
    decision: Decision,
    *,
    batch: BatchRange | None = None,
    workspace_mib: int | None = None,
    calibration_cache: Path | None = None,
    dla_core: int | None = None,
) -> BundleParts:
    """Return the bundle that builds `model` as `decision` says.

    `calibration_cache` is TensorRT's text file, for the decisions that want one. Raises InputError
    when it is missing or not wanted, BuildError for a model that trtexec cannot be told of.
    """
    if (decision.form == "calibration-cache") != (calibration_cache is not None):
        wants = "needs" if calibration_cache is None else "takes no"
        raise InputError(
            f"{target.name} {wants} TensorRT calibration cache at {decision.precision}"
            f"{' on the DLA' if decision.dla else ''}.",
            next_command=f"edgekit targets {target.id}",
        )
    flags = flags_for(
        decision, model.contract, batch=batch, workspace_mib=workspace_mib, dla_core=dla_core
    )
    contract = _engine_contract(model.contract, batch)
    if calibration_cache is not None:
        contract = contract.with_changes(precision="int8")  # the model itself is float
    golden = _first(golden_for(model), _PICTURES)
    names = {"target": target.id, "version": toolkit.__version__}
    size = model.contract.input_shape[0] or (batch.minimum if batch else 1)
    pieces = _pieces(golden, contract, size)
    files = {
        "model.onnx": model.path.read_bytes(),
        "build.sh": build_script(flags, **names).encode(),
        "verify.sh": verify_script(model.contract, shape=pieces[0].shape, **names).encode(),
        **{f"golden/{number}.bin": piece.tobytes() for number, piece in enumerate(pieces)},
    }
    if calibration_cache is not None:
        files["calibration.cache"] = calibration_cache.read_bytes()
    description = {
        "kind": _KIND,
        "version": _VERSION,
        "tool_version": toolkit.__version__,
        "target": target.id,
        "decision": asdict(decision),
        "onnx_digest": model.digest,
        "contract": contract.to_dict(),
        "flags": list(flags.words),
        "golden_batch": size,
        "files": {name: hashlib.sha256(files[name]).hexdigest() for name in sorted(files)},
    }
    # As JSON has it: a bundle that was read back is equal.
    description = json.loads(json.dumps(description))
    return BundleParts(Bundle(description, files), contract, golden, flags)


def golden_of(
    model: OnnxModel, contract: Contract, *, batch: int, files: Mapping[str, bytes]
) -> Golden | None:
    """Return the pictures in a bundle of `model` with what they must give; None for other ones.

    `contract` is the engine's, `files` are the bundle's, and so is `batch`, its golden batch.
    """
    golden = _first(golden_for(model), _PICTURES)
    pieces = enumerate(_pieces(golden, contract, batch))
    same = all(files.get(f"golden/{number}.bin") == piece.tobytes() for number, piece in pieces)
    return golden if same else None


def write_bundle(bundle: Bundle, path: Path) -> str:
    """Write the archive to `path`, read it back, and return its SHA-256."""
    members = {"bundle.json": bundle.description_json(), **bundle.files}
    with replace_file(path) as temporary:
        with (
            temporary.open("wb") as raw,
            # Weights hardly compress: more effort would cost seconds and save nothing.
            gzip.GzipFile("", "wb", compresslevel=1, fileobj=raw, mtime=0) as zipped,
            tarfile.open(fileobj=zipped, mode="w", format=tarfile.USTAR_FORMAT) as archive,
        ):
            for name in sorted(members):
                entry = tarfile.TarInfo(f"{FOLDER}/{name}")  # time 0, owner 0
                entry.size = len(members[name])
                entry.mode = 0o755 if name in _EXECUTABLE else 0o644
                archive.addfile(entry, io.BytesIO(members[name]))
        read_bundle(temporary)
        digest = digest_of_file(temporary)
    return digest


def read_bundle(path: Path) -> Bundle:
    """Return the bundle in `path`, every byte checked; nothing is unpacked to the disk.

    Raises InputError when it is missing, damaged or too large, holds a link, a device or a name
    that leaves its folder, or files other than its description lists.
    """
    try:
        with tarfile.open(path, "r:gz") as archive:
            files = _members(archive, path)
    except OSError as error:
        raise _refused(path, f"cannot be read: {error.strerror or error}") from error
    except (tarfile.TarError, EOFError, zlib.error, ValueError) as error:
        raise _refused(path, f"is damaged ({error})") from error
    text = files.pop("bundle.json", None)
    try:
        description = json.loads(text or b"")
        listed = dict(description["files"])
        if description["kind"] != _KIND or int(description["version"]) > _VERSION:
            raise ValueError(f"{description['kind']!r}, version {description['version']}")
    except (ValueError, KeyError, TypeError) as error:
        raise _refused(path, f"is no bundle of this Edgekit ({error})") from error
    found = {name: hashlib.sha256(content).hexdigest() for name, content in files.items()}
    if found != listed:
        wrong = sorted(dict(found.items() ^ listed.items()))
        raise _refused(path, f"does not hold what it lists: {', '.join(wrong[:3])}")
    return Bundle(description, files)


def _members(archive: tarfile.TarFile, path: Path) -> dict[str, bytes]:
    files: dict[str, bytes] = {}
    left = _MOST_BYTES
    for entry in archive:
        name = PurePosixPath(entry.name)
        inside = len(name.parts) > 1 and name.parts[0] == FOLDER and ".." not in name.parts
        if not inside or not entry.isreg() or str(name) != entry.name:
            raise _refused(path, f"holds {entry.name!r}, which is no plain file of a bundle")
        short = str(name.relative_to(FOLDER))
        left -= entry.size
        if short in files or len(files) == _MOST_FILES or left < 0:
            raise _refused(path, f"holds {short!r} twice, or more than a bundle does")
        content = archive.extractfile(entry)
        files[short] = b"" if content is None else content.read()
    return files


def _refused(path: Path, why: str) -> InputError:
    return InputError(
        f"{path} {why}.",
        next_command=f"edgekit build MODEL.onnx --target NAME --bundle {quoted(path)}",
    )


def _engine_contract(contract: Contract, batch: BatchRange | None) -> Contract:
    """Return the contract with the engine's batch: 0 stays for a range."""
    if contract.input_shape[0] != 0:
        return contract
    count = 1 if batch is None else batch.minimum if batch.minimum == batch.maximum else 0
    return contract.with_changes(input_shape=(count, *contract.input_shape[1:]))


def _first(golden: Golden, count: int) -> Golden:
    fp32 = None if golden.fp32 is None else golden.fp32[:count]
    return replace(
        golden,
        images=golden.images[:count],
        own=golden.own[:count],
        nudged=golden.nudged[:count],
        fp32=fp32,
    )


def _pieces(golden: Golden, contract: Contract, size: int) -> list[np.ndarray[Any, Any]]:
    """Return the prepared pictures in batches of `size`; the last one is filled with repeats."""
    batch = contract.preprocess.normalise(golden.images).astype(contract.input_type)
    pieces = [batch[start : start + size] for start in range(0, len(batch), size)]
    return [
        np.concatenate([piece] + [piece[-1:]] * (size - len(piece))).astype(contract.input_type)
        for piece in pieces
    ]
