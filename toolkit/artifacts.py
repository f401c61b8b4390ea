"""What flows along the arrows: frozen records that name a file by its SHA-256."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

from toolkit.atomic import write_text
from toolkit.contract import Contract, contract_from_dict
from toolkit.errors import InputError, StaleError
from toolkit.field_types import check_types
from toolkit.shell import quoted

__all__ = [
    "Checkpoint",
    "Engine",
    "Manifest",
    "OnnxModel",
    "digest_of_file",
    "manifest_from_dict",
    "manifest_path",
    "open_engine_file",
    "origin_of",
    "write_manifest",
]


@dataclass(frozen=True)
class Checkpoint:
    """Trained weights: a `model.pt` that `torch.load(weights_only=True)` accepts."""

    path: Path
    digest: str
    arch: str
    top1: float
    """Accuracy on the validation images, a fraction of 1."""
    epochs: int = 0
    """Passes over the training images, fewer than asked for where training stopped early."""


@dataclass(frozen=True)
class OnnxModel:
    """An ONNX file with its deployment contract embedded."""

    path: Path
    digest: str
    contract: Contract


@dataclass(frozen=True)
class Manifest:
    """What is known about an engine; the `.json` beside it."""

    engine_digest: str
    onnx_digest: str
    """SHA-256 of the ONNX file the engine was built from."""
    target: str
    backend: str
    precision: str
    contract: dict[str, Any]
    built_with: str
    """Runtime and version, "onnxruntime 1.32.0" or "tensorrt_rtx 1.7.1.116"."""
    built_on: str
    """The machine that built it: GPU name, CPU model or "no GPU (ahead of time)"."""
    tool_version: str
    sms: tuple[int, ...] = ()
    isa: str = ""
    """For cpu engines the instruction set the kernels were chosen for, such as "avx512-vnni"."""
    int8_convs: int = 0
    float_convs: int = 0
    kernels: int = 0
    seconds: float = 0.0
    reproducible: bool = True
    notes: tuple[str, ...] = ()
    flags: tuple[str, ...] = ()
    """What the builder was told beyond the graph: "STRONGLY_TYPED", "FP16", ..."""
    conditions: dict[str, Any] = field(default_factory=dict)
    """The device after a build over SSH, as `targets.Conditions` has it; empty otherwise."""

    def to_json(self) -> str:
        """Return the text of the manifest file."""
        return json.dumps(asdict(self), indent=2, sort_keys=True) + "\n"


@dataclass(frozen=True)
class Engine:
    """A file that a runtime executes, with its manifest read and checked."""

    path: Path
    manifest: Manifest
    contract: Contract


def digest_of_file(path: Path) -> str:
    """Return the SHA-256 of a file's bytes, in hex. Raises InputError when it cannot be read."""
    try:
        with path.open("rb") as file:
            return (
                hashlib.file_digest(file, "sha256").hexdigest()
                if hasattr(hashlib, "file_digest")
                else _digest_in_pieces(file)
            )
    except OSError as error:
        raise InputError(
            f"{path} cannot be read: {error.strerror or error}.",
            next_command=f"ls -l {quoted(path)}",
        ) from error


def _digest_in_pieces(file: Any) -> str:  # hashlib.file_digest is new in Python 3.11
    digest = hashlib.sha256()
    while piece := file.read(1 << 20):
        digest.update(piece)
    return digest.hexdigest()


def manifest_path(engine: Path) -> Path:
    """Return where the manifest of `engine` lies: the engine's name plus `.json`."""
    return engine.with_name(engine.name + ".json")


def write_manifest(engine: Path, manifest: Manifest) -> None:
    """Write the manifest beside `engine`, atomically. Write it after the engine: it is the seal."""
    write_text(manifest_path(engine), manifest.to_json())


def manifest_from_dict(values: Any) -> Manifest:
    """Return the manifest that `to_json` described. Raises TypeError when the values do not fit."""
    if not isinstance(values, dict):
        raise TypeError(f"it holds a {type(values).__name__}")
    names = {each.name for each in fields(Manifest)}
    known = {name: value for name, value in values.items() if name in names}
    for name in ("sms", "notes", "flags"):
        known[name] = tuple(known.get(name, ()))
    check_types(Manifest, known)
    return Manifest(**known)


def open_engine_file(path: Path) -> Engine:
    """Read the manifest of `path` and check the engine's bytes against it.

    Raises InputError when either file is missing or damaged, StaleError when the bytes changed.
    """
    digest = digest_of_file(path)
    where = manifest_path(path)
    rebuild = f"edgekit build MODEL.onnx --target NAME --out {quoted(path)}"
    try:
        manifest = manifest_from_dict(json.loads(where.read_text(encoding="utf-8")))
    except OSError as error:
        raise InputError(
            f"{path} has no manifest ({where.name}): it was not built by Edgekit, "
            "or the manifest was left behind.",
            next_command=rebuild,
        ) from error
    except (ValueError, TypeError) as error:
        raise InputError(
            f"The manifest {where} is damaged ({error}).", next_command=rebuild
        ) from error
    if digest != manifest.engine_digest:
        raise StaleError(
            f"{path} is not the file its manifest describes (SHA-256 {digest[:12]}, "
            f"manifest {manifest.engine_digest[:12]}): it was altered or replaced.",
            next_command=rebuild,
        )
    return Engine(path, manifest, contract_from_dict(manifest.contract, where=str(where)))


def origin_of(engine: Engine) -> Path:
    """Return the ONNX file in the engine's folder with the digest its manifest names.

    Returns `MODEL.onnx`, the placeholder of every command, where there is none.
    """
    name = engine.path.name
    nearby = [path for path in engine.path.parent.glob("*.onnx") if path.is_file()]
    # model.int8.rtx-4090.engine comes from model.int8.onnx: most likely first, hashing is slow.
    nearby.sort(key=lambda path: (not name.startswith(path.name.removesuffix(".onnx")), path.name))
    for path in nearby:
        if path != engine.path and digest_of_file(path) == engine.manifest.onnx_digest:
            return path
    return Path("MODEL.onnx")
