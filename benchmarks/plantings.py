"""Faults planted in a good INT8 model, one at a time, for the diagnosis to find."""

from __future__ import annotations

import random
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import onnx
from onnx import helper, numpy_helper

from toolkit.contract import Contract
from toolkit.diagnose.record import Diagnosis
from toolkit.onnx_model.file import open_model, read_onnx, write_onnx

__all__ = ["KINDS", "Planting", "found_first", "plant"]

KINDS = ("range", "bias", "axis", "bgr", "mean")


@dataclass(frozen=True)
class Planting:
    """A fault: its kind, as a finding names it, and the tensor or layer it was planted in."""

    kind: str
    where: str
    model: Path


def plant(model: Path, kind: str, *, seed: int, out: Path) -> Planting:
    """Write a copy of `model` with one fault of `kind` (a row of KINDS) to `out`."""
    graph, contract = read_onnx(model), open_model(model).contract
    chooser = random.Random(seed)
    if kind in ("bgr", "mean"):
        write_onnx(graph, out, _badly_prepared(contract, kind))
        return Planting("preprocess", kind, out)
    where = {"range": _shrink_range, "bias": _zero_bias, "axis": _wrong_axis}[kind](graph, chooser)
    write_onnx(graph, out, contract)
    return Planting(kind, where, out)


def found_first(diagnosis: Diagnosis, planting: Planting) -> bool:
    """Return whether the planted fault is the first finding."""
    if not diagnosis.findings:
        return False
    first = diagnosis.findings[0]
    if planting.kind == "preprocess":
        wanted = {"bgr": "colour", "mean": "mean"}[planting.where]
        return (first.kind, first.where) == ("preprocess", wanted)
    return (first.kind, first.where) == (planting.kind, planting.where)


def _badly_prepared(contract: Contract, kind: str) -> Contract:
    right = contract.preprocess
    if kind == "bgr":
        wrong = replace(right, colour="bgr" if right.colour == "rgb" else "rgb")
    else:
        wrong = replace(right, mean=(0.0,) * right.channels)
    return contract.with_changes(preprocess=wrong)


def _shrink_range(model: onnx.ModelProto, chooser: random.Random) -> str:
    graph, constants = model.graph, _constants(model)
    tensors = sorted(
        {n.input[0] for n in graph.node if n.op_type == "QuantizeLinear"} - set(constants)
    )
    tensor = str(chooser.choice(tensors))
    integers = {
        n.output[0] for n in graph.node if n.op_type == "QuantizeLinear" and n.input[0] == tensor
    }
    integers |= {n.output[0] for n in graph.node if n.op_type == "Pad" and n.input[0] in integers}
    for node in graph.node:
        quantizes = node.op_type == "QuantizeLinear" and node.input[0] == tensor
        if quantizes or (node.op_type == "DequantizeLinear" and node.input[0] in integers):
            eighth = np.asarray(constants[node.input[1]] / np.float32(8), np.float32)
            node.input[1] = _add(model, f"{node.name}_eighth", eighth)
    return tensor


def _zero_bias(model: onnx.ModelProto, chooser: random.Random) -> str:
    constants = _constants(model)
    made_by = {name: node for node in model.graph.node for name in node.output}
    choices: dict[str, str] = {}
    for node in model.graph.node:
        if node.op_type in ("Conv", "Gemm") and len(node.input) > 2:
            dequantize = made_by.get(node.input[2])
            name = dequantize.input[0] if dequantize is not None else node.input[2]
            if name in constants and np.any(constants[name]):
                choices[node.name] = name
    where = chooser.choice(sorted(choices))
    _set(model, choices[where], np.zeros_like(constants[choices[where]]))
    return where


def _wrong_axis(model: onnx.ModelProto, chooser: random.Random) -> str:
    """Quantize one weight anew with one scale per input channel: well rounded, wrongly placed."""
    constants = _constants(model)
    made_by = {name: node for node in model.graph.node for name in node.output}
    choices: dict[str, onnx.NodeProto] = {}
    for node in model.graph.node:
        maker = made_by.get(node.input[1]) if node.op_type in ("Conv", "Gemm") else None
        if maker is not None and maker.input[0] in constants:
            choices[node.name] = maker
    where = chooser.choice(sorted(choices))
    dequantize = choices[where]
    weight = constants[dequantize.input[0]].astype(np.float64)
    old = constants[dequantize.input[1]].reshape(-1, *[1] * (weight.ndim - 1))
    values = np.moveaxis(weight * old, 1, 0)
    scale = np.maximum(np.abs(values).reshape(len(values), -1).max(axis=1) / 127, 1e-9)
    steps = np.rint(values / scale.reshape(-1, *[1] * (values.ndim - 1))).astype(np.int8)
    _set(model, dequantize.input[0], np.moveaxis(steps, 0, 1))
    zeros = np.zeros(len(scale), np.int8)
    dequantize.input[1] = _add(model, f"{where}_axis_scale", scale.astype(np.float32))
    dequantize.input[2] = _add(model, f"{where}_axis_zero", zeros)
    del dequantize.attribute[:]
    dequantize.attribute.append(helper.make_attribute("axis", 1))
    return where


def _constants(model: onnx.ModelProto) -> dict[str, np.ndarray]:
    return {tensor.name: numpy_helper.to_array(tensor) for tensor in model.graph.initializer}


def _add(model: onnx.ModelProto, name: str, values: np.ndarray) -> str:
    model.graph.initializer.append(numpy_helper.from_array(values, name))
    return name


def _set(model: onnx.ModelProto, name: str, values: np.ndarray) -> None:
    tensor = next(tensor for tensor in model.graph.initializer if tensor.name == name)
    tensor.CopyFrom(numpy_helper.from_array(np.ascontiguousarray(values), name))
