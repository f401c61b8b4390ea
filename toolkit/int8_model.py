"""Write what calibration made: the INT8 model with its contract, and the table it was made with."""

from __future__ import annotations

import json
from pathlib import Path

import onnx

from calibration.emit import Quantized
from toolkit.activation_map import add_activation_map
from toolkit.artifacts import OnnxModel
from toolkit.atomic import replace_file
from toolkit.contract import UNCALIBRATED, Contract
from toolkit.onnx_model.file import write_onnx

__all__ = [
    "FLOAT_REASONS_KEY",
    "int8_contract",
    "set_metadata",
    "table_path",
    "write_int8_model",
]

FLOAT_REASONS_KEY = "edgekit.float_reasons"
"""Metadata of an ONNX file: a JSON object, layer or tensor name to why it stays float."""


def table_path(int8_model: Path) -> Path:
    """Return where the table of `model.int8.onnx` lies: `model.calibration.json`."""
    stem = int8_model.name.removesuffix(".onnx").removesuffix(".int8")
    return int8_model.with_name(f"{stem}.calibration.json")


def int8_contract(source: OnnxModel, result: Quantized) -> Contract:
    """Return the contract of `result`, which was made from `source`."""
    return source.contract.with_changes(
        parent=source.digest,
        precision="int8",
        scheme=result.table.scheme,
        calibration=UNCALIBRATED if result.table.uncalibrated else result.table.digest,
        calibration_images=result.table.images,
    )


def set_metadata(model: onnx.ModelProto, key: str, value: str) -> None:
    """Let the metadata of `model` hold `value` under `key`, in place of what stood there."""
    kept = [(entry.key, entry.value) for entry in model.metadata_props if entry.key != key]
    del model.metadata_props[:]
    for name, text in (*kept, (key, value)):
        model.metadata_props.add(key=name, value=text)


def write_int8_model(result: Quantized, source: OnnxModel, out: Path) -> OnnxModel:
    """Write model and table, both complete before either gets its name.

    The file also says why layers stay float, for `edgekit inspect`. Where `source` gives a class
    activation map, so does the INT8 model. Raises ModelError and MachineError.
    """
    model = result.model
    if source.contract.activation_map:
        model = add_activation_map(model, where=out.name)
    reasons = json.dumps(result.float_reasons, sort_keys=True)
    set_metadata(model, FLOAT_REASONS_KEY, reasons)
    with replace_file(table_path(out)) as table:
        table.write_text(result.table.to_json(), encoding="utf-8")
        return write_onnx(model, out, int8_contract(source, result))
