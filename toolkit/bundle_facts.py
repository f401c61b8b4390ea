"""What `edgekit inspect` says of a bundle: what it builds, for which device, by which command."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from toolkit.contract import Contract, contract_from_dict
from toolkit.errors import InputError
from toolkit.remote.bundle import FOLDER, Bundle, read_bundle
from toolkit.remote.script_line import ScriptLine, script_line
from toolkit.shell import quoted

__all__ = ["BundleFacts", "bundle_facts", "facts_of", "is_bundle"]

_GZIP = b"\x1f\x8b"


@dataclass(frozen=True)
class BundleFacts:
    """A bundle: the device and TensorRT it is for, and the digests of what it holds."""

    digest: str
    """SHA-256 of its description, which names every file by its own."""
    target: str
    tensorrt: str
    jetpack: str
    form: str
    """A key of `targets.decision.FORMS`."""
    reasons: tuple[str, ...]
    flags: tuple[str, ...]
    onnx_digest: str
    golden_batch: int
    tool_version: str
    contract: Contract
    """The engine's."""
    files: dict[str, str]
    """Name to SHA-256."""
    command: ScriptLine

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON values."""
        values = {
            **asdict(self),
            "reasons": list(self.reasons),
            "flags": list(self.flags),
            "precision": self.contract.precision,
            "scheme": self.contract.scheme,
            "contract": self.contract.to_dict(),
            "command": self.command.text,
            "command_without": list(self.command.instead),
        }
        # The archive's own digest goes by the plain name.
        values["bundle_digest"] = values.pop("digest")
        return values

    def lines(self) -> list[str]:
        """Return what a person wants to know."""
        contract = self.contract
        jetpack = f" of JetPack {self.jetpack}" if self.jetpack else ""
        return [
            f"  {contract.precision}{f' ({contract.scheme})' if contract.scheme else ''} for "
            f"{self.target} with TensorRT {self.tensorrt}{jetpack}, {len(contract.labels)} "
            f"classes, from {contract.source}, by Edgekit {self.tool_version}",
            f"  sh {FOLDER}/build.sh runs: {self.command.text}",
            *(f"    where trtexec has {each}" for each in self.command.instead),
            *(f"  {digest[:12]}  {name}" for name, digest in self.files.items()),
        ]


def is_bundle(path: Path) -> bool:
    """Return whether a file is, or was meant to be, a bundle."""
    if path.name.endswith((".tar.gz", ".tgz")):
        return True
    try:
        with path.open("rb") as file:
            return file.read(2) == _GZIP
    except OSError:
        return False  # whoever reads it says why it cannot


def bundle_facts(path: Path) -> BundleFacts:
    """Return what the bundle in `path` is, every byte of it checked. Raises InputError."""
    return facts_of(read_bundle(path), where=path)


def facts_of(bundle: Bundle, *, where: Path) -> BundleFacts:
    """Return what a bundle that was read from `where` is. Raises InputError, ContractError."""
    said = bundle.description
    try:
        decision = dict(said["decision"])
        return BundleFacts(
            digest=bundle.digest,
            target=str(said["target"]),
            tensorrt=str(decision["tensorrt"] or "of unknown version"),
            jetpack=str(decision["jetpack"] or ""),
            form=str(decision["form"]),
            reasons=tuple(map(str, decision["reasons"])),
            flags=tuple(map(str, said["flags"])),
            onnx_digest=str(said["onnx_digest"]),
            golden_batch=int(said["golden_batch"]),
            tool_version=str(said["tool_version"]),
            contract=contract_from_dict(said["contract"], where=str(where)),
            files={name: str(digest) for name, digest in said["files"].items()},
            command=script_line(bundle.files["build.sh"].decode()),
        )
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise InputError(
            f"{where} is no bundle of this Edgekit ({type(error).__name__}: {error}).",
            next_command=f"edgekit build MODEL.onnx --target NAME --bundle {quoted(where)}",
        ) from error
