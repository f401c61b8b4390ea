"""Read and write ONNX files: every file is checked before anything runs it.

Only single-input image classifiers pass: (N, C, H, W) floats in, (N, classes) logits out, made of
standard operators. Weights kept in other files are read in, but never from outside the folder.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

import onnx
from google.protobuf.message import DecodeError  # type: ignore[import-untyped]  # ships no types
from onnx import checker, inliner, shape_inference

from toolkit.artifacts import OnnxModel
from toolkit.atomic import write_bytes
from toolkit.contract import Contract, embed_contract, read_contract
from toolkit.errors import ContractError, ModelError
from toolkit.external_data import external_tensors, load_external_data, subgraphs
from toolkit.shell import quoted

__all__ = [
    "MAX_BYTES",
    "Signature",
    "open_model",
    "parse_onnx",
    "read_onnx",
    "signature_of",
    "write_onnx",
]

MAX_BYTES = 2**31 - 1
"""Protobuf cannot hold a message of 2 GiB or more."""

_FLOATS = {onnx.TensorProto.FLOAT: "float32", onnx.TensorProto.FLOAT16: "float16"}
_FOREIGN_STARTS = {
    b"PK\x03\x04": "a zip archive, perhaps a PyTorch checkpoint",
    b"\x80\x02": "a Python pickle",
    b"version https://git-lfs": "a Git LFS pointer: run `git lfs pull` for the real file",
    b"<": "a web page or XML",
    b"\x89HDF": "an HDF5 file (Keras)",
    b"\x28\xb5\x2f\xfd": "a zstd archive",
    b"\x1f\x8b": "a gzip archive",
}


@dataclass(frozen=True)
class Signature:
    """What goes in and what comes out: (N, C, H, W) with N = 0 for a dynamic batch, (N, classes).

    `input_type` and `output_type` are "float32" or "float16".
    """

    input_name: str
    input_shape: tuple[int, int, int, int]
    input_type: str
    output_name: str
    classes: int
    output_type: str


def read_onnx(path: Path) -> onnx.ModelProto:
    """Return the checked model in `path`, its external data loaded and local functions inlined.

    Raises ModelError when the file is missing, empty, truncated, not ONNX, over 2 GiB, uses
    operators outside the ONNX standard, reaches for data outside its folder, or is not a
    single-input image classifier.
    """
    model = parse_onnx(path)
    load_external_data(model, path, limit=MAX_BYTES)
    _check(model, where=path)
    if model.functions:
        model = inliner.inline_local_functions(model)
    signature_of(model, where=path)
    return model


def parse_onnx(path: Path) -> onnx.ModelProto:
    """Return the model in `path` as it is: complete, but not checked and without external data.

    Raises ModelError when the file is missing, empty, truncated, not ONNX or over 2 GiB.
    """
    return _parse(_read(path), where=path)


def convolution_names(path: Path) -> list[str]:
    """Return the names of the convolutions in `path`, which builders' layers refer to."""
    nodes = parse_onnx(path).graph.node
    return [node.name for node in nodes if node.op_type in ("Conv", "ConvTranspose")]


def open_model(path: Path) -> OnnxModel:
    """Return the record of an ONNX file that carries a deployment contract.

    Raises ModelError as `read_onnx` does, and ContractError when there is no contract or it
    does not describe this graph.
    """
    content = _read(path)
    model = _parse(content, where=path)
    adopt = _adopt(path)
    if next(external_tensors(model), None) is not None:
        raise ModelError(
            f"{path} keeps weights in other files, so its digest would not cover them.",
            next_command=adopt,
        )
    _check(model, where=path)
    signature = signature_of(model, where=path)
    contract = read_contract(model, where=str(path))
    if contract is None:
        raise ContractError(
            f"{path} has no deployment contract: how to prepare its input is not known.",
            next_command=adopt,
        )
    _check_contract(contract, signature, where=path)
    return OnnxModel(path, hashlib.sha256(content).hexdigest(), contract)


def write_onnx(model: onnx.ModelProto, path: Path, contract: Contract) -> OnnxModel:
    """Embed `contract` in `model` (in place), check the model and write it to `path` atomically.

    Equal models give equal bytes. Raises ModelError when the graph is not valid ONNX or not a
    classifier, ContractError when the contract describes another graph.
    """
    embed_contract(model, contract)
    _check(model, where=path, thorough=True)
    _check_contract(contract, signature_of(model, where=path), where=path)
    content = model.SerializeToString(deterministic=True)
    write_bytes(path, content)
    return OnnxModel(path, hashlib.sha256(content).hexdigest(), contract)


def signature_of(model: onnx.ModelProto, *, where: Path) -> Signature:
    """Return what `model` takes and gives; `where` names the file for the error.

    Raises ModelError when it is not a single-input image classifier.
    """
    weights = {tensor.name for tensor in model.graph.initializer}
    inputs = [value for value in model.graph.input if value.name not in weights]
    outputs = list(model.graph.output)
    if len(inputs) != 1:
        names = ", ".join(value.name for value in inputs) or "none"
        raise _not_a_classifier(where, f"it has {len(inputs)} inputs ({names})")
    if len(outputs) != 1:
        names = ", ".join(value.name for value in outputs) or "none"
        raise _not_a_classifier(where, f"it has {len(outputs)} outputs ({names})")
    shape, result = _shape(inputs[0]), _shape(outputs[0])
    if result is None or len(result) != 2 or result[1] == 0:
        outputs = list(shape_inference.infer_shapes(model, data_prop=True).graph.output)
        result = _shape(outputs[0])
    types = [value.type.tensor_type.elem_type for value in (inputs[0], outputs[0])]
    if shape is None or len(shape) != 4 or 0 in shape[1:]:
        raise _not_a_classifier(where, f"its input is {_text(shape)}, not (N, C, H, W)")
    if shape[1] not in (1, 3):
        raise _not_a_classifier(where, f"its input {_text(shape)} has {shape[1]} channels")
    if result is None or len(result) != 2 or result[1] < 2:
        raise _not_a_classifier(where, f"its output is {_text(result)}, not (N, classes)")
    if not set(types) <= set(_FLOATS):
        names = " and ".join(onnx.TensorProto.DataType.Name(kind) for kind in types)
        raise _not_a_classifier(where, f"its input and output are {names}, not FLOAT or FLOAT16")
    return Signature(
        input_name=inputs[0].name,
        input_shape=(shape[0], shape[1], shape[2], shape[3]),
        input_type=_FLOATS[types[0]],
        output_name=outputs[0].name,
        classes=result[1],
        output_type=_FLOATS[types[1]],
    )


def _read(path: Path) -> bytes:
    try:
        size = path.stat().st_size
        if size > MAX_BYTES:
            raise ModelError(
                f"{path} is {size / 2**30:.1f} GiB; an ONNX file holds less than 2 GiB "
                "(larger weights belong into external data).",
                next_command=f"ls -l {quoted(path)}",
            )
        content = path.read_bytes()
    except OSError as error:
        raise ModelError(
            f"{path} cannot be read: {error.strerror or error}.",
            next_command=f"ls -l {quoted(path.parent)}",
        ) from error
    if not content:
        raise ModelError(
            f"{path} is empty: the download or export that wrote it did not finish.",
            next_command=f"edgekit import SOURCE --out {quoted(path)}",
        )
    return content


def _parse(content: bytes, *, where: Path) -> onnx.ModelProto:
    again = f"edgekit import SOURCE --out {quoted(where)}"
    for start, what in _FOREIGN_STARTS.items():
        if content.startswith(start):
            raise ModelError(f"{where} is not an ONNX file but {what}.", next_command=again)
    model = onnx.ModelProto()
    try:
        model.ParseFromString(content)
    except DecodeError as error:
        # Every ONNX writer puts ir_version (field 1, a varint) first.
        begins_well = content[0] == 0x08 and len(content) > 1 and content[1] < 0x80
        what = "is truncated or damaged" if begins_well else "is not an ONNX file"
        raise ModelError(
            f"{where} {what}: its {len(content)} bytes do not parse.", next_command=again
        ) from error
    if not model.graph.node or not model.opset_import or model.ir_version < 1:
        raise ModelError(
            f"{where} is not a complete ONNX file: it has {len(model.graph.node)} nodes and "
            f"{len(model.opset_import)} operator sets.",
            next_command=again,
        )
    return model


def _check(model: onnx.ModelProto, *, where: Path, thorough: bool = False) -> None:
    _check_operators(model, where=where)
    try:
        checker.check_model(model, full_check=thorough)
    except (checker.ValidationError, shape_inference.InferenceError, ValueError) as error:
        lines = [line.strip() for line in str(error).splitlines() if line.strip()]
        reason = lines[0] if lines else "no reason given"
        raise ModelError(
            f"{where} is not valid ONNX: {reason.rstrip('.')}.",
            next_command=f"edgekit import SOURCE --out {quoted(where)}",
        ) from error


def _check_operators(model: onnx.ModelProto, *, where: Path) -> None:
    local = {(function.domain, function.name) for function in model.functions}
    nodes = [node for graph in subgraphs(model.graph) for node in graph.node]
    nodes += [node for function in model.functions for node in function.node]
    foreign = sorted(
        {
            f"{node.domain}::{node.op_type}"
            for node in nodes
            if node.domain not in ("", "ai.onnx") and (node.domain, node.op_type) not in local
        }
    )
    if foreign:
        raise ModelError(
            f"{where} uses operators outside the ONNX standard ({', '.join(foreign[:4])}"
            f"{', ...' if len(foreign) > 4 else ''}): no two runtimes would agree on them. "
            "Export it again without custom operators or runtime-specific optimisation "
            "(a cpu engine needs its .json beside it).",
            next_command="edgekit import SOURCE --out model.onnx",
        )


def _check_contract(contract: Contract, signature: Signature, *, where: Path) -> None:
    preprocess = contract.preprocess
    promised = (contract.input_name, contract.input_shape, contract.input_type)
    actual = (signature.input_name, signature.input_shape, signature.input_type)
    prepared = (preprocess.channels, preprocess.height, preprocess.width)
    again = _adopt(where)
    if promised != actual:
        raise ContractError(
            f"The contract in {where} describes input {promised}, the graph has {actual}.",
            next_command=again,
        )
    if prepared != actual[1][1:] or len(contract.labels) != signature.classes:
        raise ContractError(
            f"The contract in {where} prepares {prepared} pixels for {len(contract.labels)} "
            f"classes, the graph takes {actual[1][1:]} and has {signature.classes} classes.",
            next_command=again,
        )


def _adopt(path: Path) -> str:
    adopted = quoted(f"{path.stem}.edgekit.onnx")
    return f"edgekit import {quoted(path)} --preprocess imagenet --out {adopted}"


def _shape(value: onnx.ValueInfoProto) -> tuple[int, ...] | None:
    """Return the dimensions, 0 where they are symbolic or unknown; None without a rank."""
    if not value.type.tensor_type.HasField("shape"):
        return None
    return tuple(max(dim.dim_value, 0) for dim in value.type.tensor_type.shape.dim)


def _text(shape: tuple[int, ...] | None) -> str:
    if shape is None:
        return "of unknown rank"
    return "(" + ", ".join(str(size) if size else "?" for size in shape) + ")"


def _not_a_classifier(where: Path, reason: str) -> ModelError:
    return ModelError(
        f"{where} is not a single-input image classifier: {reason}.",
        next_command=f"edgekit inspect {quoted(where)}",
    )
