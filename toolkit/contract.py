"""The deployment contract: what a runtime must know about a model, embedded in the ONNX file.

One JSON object under the metadata key `edgekit.contract`, so that it cannot get lost; engine
manifests carry a copy.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, replace
from typing import Any

import onnx

from toolkit.errors import ContractError
from toolkit.field_types import check_types
from toolkit.preprocess import Preprocess, preprocess_from_dict
from toolkit.shell import quoted

__all__ = [
    "CONTRACT_KEY",
    "UNCALIBRATED",
    "Contract",
    "contract_from_dict",
    "embed_contract",
    "read_contract",
]

CONTRACT_KEY = "edgekit.contract"
CONTRACT_VERSION = 2
"""2: with a class activation map."""
UNCALIBRATED = "UNCALIBRATED"
"""Stands where the digest of a calibration table would, when ranges came from random data."""


@dataclass(frozen=True)
class Contract:
    """What every later step checks before it runs a model.

    `input_shape` is (N, C, H, W) with N = 0 for a dynamic batch. `labels` are the class names in
    the order of the logits, `ids` their folder names (synsets for ImageNet; the labels where there
    are none). `parent` is the SHA-256 of the file this one was made from, `calibration` the digest
    of the calibration table, UNCALIBRATED, or "" for a float model, as is `scheme`.
    """

    input_name: str
    input_shape: tuple[int, int, int, int]
    preprocess: Preprocess
    labels: tuple[str, ...]
    ids: tuple[str, ...]
    source: str
    parent: str = ""
    input_type: str = "float32"
    precision: str = "fp32"
    scheme: str = ""
    calibration: str = ""
    calibration_images: tuple[str, ...] = ()
    """SHA-256 (first 16 hex digits) of every image calibrated on: scoring refuses these."""
    activation_map: str = ""
    """The output with the class activation map (N, height, width) of the winner, or ""."""

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON values, with the format version.

        Without a map they are those of version 1, which older Edgekits read.
        """
        values = {"version": CONTRACT_VERSION, **asdict(self)}
        if not self.activation_map:
            del values["activation_map"]
            values["version"] = 1
        return values

    def with_changes(self, **changes: Any) -> Contract:
        """Return a copy with some fields replaced."""
        return replace(self, **changes)


def contract_from_dict(values: dict[str, Any], *, where: str) -> Contract:
    """Return the contract in `values`; `where` names the file for the error.

    Raises ContractError when the values are damaged or were written by a newer Edgekit.
    """
    fix = f"edgekit import {quoted(where)} --out model.onnx"
    fields = dict(values) if isinstance(values, dict) else {}
    version = fields.pop("version", None)
    if not isinstance(version, int) or version < 1:
        raise ContractError(f"The contract in {where} has no version.", next_command=fix)
    if version > CONTRACT_VERSION:
        raise ContractError(
            f"{where} was written by a newer Edgekit (contract version {version}, "
            f"this one reads up to {CONTRACT_VERSION}).",
            next_command="pip install --upgrade edgekit",
        )
    try:
        fields["preprocess"] = preprocess_from_dict(fields["preprocess"])
        for name in ("input_shape", "labels", "ids", "calibration_images"):
            fields[name] = tuple(fields[name])
        check_types(Contract, fields)
        contract = Contract(**fields)
    except (TypeError, KeyError) as error:
        raise ContractError(
            f"The contract in {where} is damaged ({error}).", next_command=fix
        ) from error
    if len(contract.input_shape) != 4 or len(contract.labels) != len(contract.ids):
        raise ContractError(
            f"The contract in {where} is damaged: input shape {contract.input_shape}, "
            f"{len(contract.labels)} labels, {len(contract.ids)} ids.",
            next_command=fix,
        )
    return contract


def embed_contract(model: onnx.ModelProto, contract: Contract) -> None:
    """Write `contract` into the metadata of `model`, in place, replacing an older one."""
    kept = [(p.key, p.value) for p in model.metadata_props if p.key != CONTRACT_KEY]
    del model.metadata_props[:]
    for key, value in [*kept, (CONTRACT_KEY, json.dumps(contract.to_dict(), sort_keys=True))]:
        model.metadata_props.add(key=key, value=value)


def read_contract(model: onnx.ModelProto, *, where: str) -> Contract | None:
    """Return the contract embedded in `model`, or None; `where` names the file for errors."""
    for entry in model.metadata_props:
        if entry.key == CONTRACT_KEY:
            try:
                values = json.loads(entry.value)
            except ValueError as error:
                raise ContractError(
                    f"The contract in {where} is not JSON ({error}).",
                    next_command=f"edgekit import {quoted(where)} --out model.onnx",
                ) from error
            return contract_from_dict(values, where=where)
    return None
