"""Read and write ONNX files: every file is checked before anything runs it.

Only single-input image classifiers pass: (N, C, H, W) floats in, (N, classes) logits out, made of
standard operators; beside the logits there may be their class activation map. Weights kept in
other files are read in, but never from outside the folder.
"""

from __future__ import annotations

import hashlib
from pathlib import Path

import onnx
from google.protobuf.message import DecodeError  # type: ignore[import-untyped]  # ships no types
from onnx import checker, inliner, shape_inference

from toolkit.activation_map import without_activation_map
from toolkit.artifacts import OnnxModel
from toolkit.atomic import write_bytes
from toolkit.contract import CONTRACT_KEY, Contract, embed_contract, read_contract
from toolkit.errors import ContractError, ModelError
from toolkit.onnx_model.external_data import external_tensors, load_external_data, subgraphs
from toolkit.onnx_model.signature import Signature, signature_of
from toolkit.shell import quoted

__all__ = [
    "MAX_BYTES",
    "how_to_make_again",
    "is_bare_engine",
    "open_model",
    "parse_onnx",
    "read_onnx",
    "write_onnx",
]

MAX_BYTES = 2**31 - 1
"""Protobuf cannot hold a message of 2 GiB or more."""

_FOREIGN_STARTS = {
    b"PK\x03\x04": "a zip archive, perhaps a PyTorch checkpoint",
    b"\x80\x02": "a Python pickle",
    b"version https://git-lfs": "a Git LFS pointer: run `git lfs pull` for the real file",
    b"<": "a web page or XML",
    b"\x89HDF": "an HDF5 file (Keras)",
    b"\x28\xb5\x2f\xfd": "a zstd archive",
    b"\x1f\x8b": "a gzip archive",
}


def read_onnx(path: Path) -> onnx.ModelProto:
    """Return the checked model in `path`, its external data loaded and local functions inlined.

    It is the network alone: without the class activation map that the file may give beside it.

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
    return without_activation_map(model)


def parse_onnx(path: Path) -> onnx.ModelProto:
    """Return the model in `path` as it is: complete, but not checked and without external data.

    Raises ModelError when the file is missing, empty, truncated, not ONNX or over 2 GiB.
    """
    return _parse(_read(path), where=path)


def how_to_make_again(path: Path) -> str:
    """Return the command that writes an unusable `path` anew, or that tells what it is.

    Only a name that ends in .onnx may be written over: another file is something else of the user.
    """
    if path.suffix.lower() == ".onnx":
        return f"edgekit import SOURCE --out {quoted(path)}"
    return f"edgekit inspect {quoted(path)}"


def is_bare_engine(model: onnx.ModelProto) -> bool:
    """Return whether `model` is a cpu engine: ONNX Runtime's own operators, and our contract.

    No model gets a contract with such operators in it: see `write_onnx`. A file that another
    program optimised for ONNX Runtime has the operators alone.
    """
    ours = any(entry.key == CONTRACT_KEY for entry in model.metadata_props)
    return ours and any(node.domain.startswith("com.microsoft") for node in model.graph.node)


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
            next_command=how_to_make_again(path),
        )
    return content


def _parse(content: bytes, *, where: Path) -> onnx.ModelProto:
    again = how_to_make_again(where)
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
            next_command=how_to_make_again(where),
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
            next_command=f"edgekit build MODEL.onnx --target NAME --out {quoted(where)}"
            if is_bare_engine(model)
            else "edgekit import SOURCE --out model.onnx",
        )


def _check_contract(contract: Contract, signature: Signature, *, where: Path) -> None:
    preprocess = contract.preprocess
    promised, actual = (
        (each.input_name, each.input_shape, each.input_type, each.activation_map)
        for each in (contract, signature)
    )
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
