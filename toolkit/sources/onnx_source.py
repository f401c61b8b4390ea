"""`file.onnx`: an ONNX classifier from elsewhere; core packages are enough."""

from __future__ import annotations

import numpy as np
import onnx
import onnxruntime
from numpy.typing import NDArray
from onnx import helper, numpy_helper, version_converter

from toolkit.artifacts import digest_of_file
from toolkit.contract import Contract, read_contract
from toolkit.errors import ModelError
from toolkit.labels import Labels, choose_labels
from toolkit.onnx_model.einsum import spell_einsum
from toolkit.onnx_model.file import read_onnx
from toolkit.onnx_model.opset import lower_to_17
from toolkit.onnx_model.signature import Signature, signature_of
from toolkit.preprocess import Preprocess
from toolkit.preprocess_names import PREPROCESSINGS, named_preprocess
from toolkit.progress import Progress
from toolkit.sample_inputs import sample_inputs
from toolkit.shell import quoted
from toolkit.sources import Imported, Request

__all__ = ["open_source"]

_LOWEST = 17
_TOLERANCE = {"fp32": 1e-4, "fp16": 1e-2}
"""The largest |logit difference| that rounding explains, as a fraction of the largest |logit|."""


def open_source(request: Request) -> Imported:
    """Return a checked ONNX classifier; its preprocessing comes by name or from its contract.

    `request.opset` is the highest opset wanted: a file between 17 and that keeps its own. Raises
    ModelError when the file is not a float single-input classifier in inference form, when the
    preprocessing is unknown or the opset cannot be changed, and LabelsError.
    """
    path = request.path
    request.progress(Progress("read the ONNX file", 0, 1, path.name))
    model = read_onnx(path)
    where = str(path)
    _check_float_inference(model, where)
    signature = signature_of(model, where=path)
    contract = read_contract(model, where=where)
    preprocess, stated = _preprocess(request, signature, contract)
    labels = _labels(request, signature, contract)
    spell_einsum(model.graph)
    changed = _with_opset(model, request.opset, where)
    if changed is not model:
        _check_equal(model, changed, preprocess, signature, where)
    return Imported(
        model=changed,
        preprocess=preprocess,
        labels=labels.names,
        ids=labels.ids,
        source=f"{path.name}, {stated}, {labels.origin}",
        parent=digest_of_file(path),
        precision="fp16" if _has_half(model) else "fp32",
    )


def _preprocess(
    request: Request, signature: Signature, contract: Contract | None
) -> tuple[Preprocess, str]:
    _, channels, height, width = signature.input_shape
    if request.preprocess is not None:
        named = named_preprocess(request.preprocess, height=height, width=width, channels=channels)
        return named, f"preprocessing {request.preprocess} by request"
    if contract is not None:
        return contract.preprocess, f"preprocessing of its contract ({contract.source})"
    raise ModelError(
        f"{request.path} does not say how its input ({channels}, {height}, {width}) is prepared: "
        f"name it ({', '.join(PREPROCESSINGS)}, or a .json file).",
        next_command=f"edgekit import {quoted(request.path)} --preprocess imagenet "
        "--out model.onnx",
    )


def _labels(request: Request, signature: Signature, contract: Contract | None) -> Labels:
    if request.labels is None and contract is not None:
        return Labels(contract.ids, contract.labels, "labels of its contract")
    return choose_labels(
        request.labels, classes=signature.classes, imagenet=request.preprocess == "imagenet"
    )


def _check_float_inference(model: onnx.ModelProto, where: str) -> None:
    constants = {tensor.name: tensor for tensor in model.graph.initializer}
    for node in model.graph.node:
        flags = {a.name: a.i for a in node.attribute}
        normalises = node.op_type == "BatchNormalization"
        training = normalises and (flags.get("training_mode") or len(node.output) > 1)
        if node.op_type == "Dropout" and len(node.input) > 2 and node.input[2] in constants:
            training = bool(numpy_helper.to_array(constants[node.input[2]]))
        if training:
            raise ModelError(
                f"{where} is in training mode ({node.op_type} {node.name!r} is active).",
                next_command="model.eval()   # before exporting it, then import it again",
            )
        if node.op_type in ("QuantizeLinear", "DynamicQuantizeLinear", "QLinearConv"):
            raise ModelError(
                f"{where} is already quantized ({node.op_type} {node.name!r}): import the float "
                "model it was made from, and calibrate that.",
                next_command="edgekit import FLOAT.onnx --preprocess imagenet --out model.onnx",
            )


def _has_half(model: onnx.ModelProto) -> bool:
    half = onnx.TensorProto.FLOAT16
    return any(tensor.data_type == half for tensor in model.graph.initializer)


def _with_opset(model: onnx.ModelProto, highest: int, where: str) -> onnx.ModelProto:
    """Return `model` at an opset from 17 to `highest`; the same object if it is there already."""
    current = next(entry.version for entry in model.opset_import if entry.domain in ("", "ai.onnx"))
    wanted = min(max(current, _LOWEST), highest)
    if wanted == current:
        return model
    changed: onnx.ModelProto
    try:
        step = 18 if wanted == 17 and current > 17 else wanted
        if step == current:
            changed = onnx.ModelProto()
            changed.CopyFrom(model)
        else:
            changed = version_converter.convert_version(model, step)
        if step != wanted:
            lower_to_17(changed)
    except (RuntimeError, version_converter.ConvertError) as error:
        reason = (str(error).splitlines() or ["no reason given"])[0]
        raise ModelError(
            f"{where} is at opset {current} and cannot be rewritten at opset {wanted} ({reason}).",
            next_command=f"torch.onnx.export(..., opset_version={max(wanted, 18)})   "
            "# where the model was made",
        ) from error
    changed.ir_version = helper.find_min_ir_version_for(list(changed.opset_import))
    return changed


def _check_equal(
    old: onnx.ModelProto,
    new: onnx.ModelProto,
    preprocess: Preprocess,
    signature: Signature,
    where: str,
) -> None:
    inputs = sample_inputs(preprocess, signature.input_shape[0] or 2).astype(signature.input_type)
    before, after = (_run(model, signature.input_name, inputs) for model in (old, new))
    difference = float(np.abs(before.astype(np.float64) - after).max())
    tolerance = _TOLERANCE["fp16" if _has_half(old) else "fp32"]
    if not difference <= tolerance * float(np.abs(before).max()):
        raise ModelError(
            f"{where} computes something else after its opset was changed: the logits differ by "
            f"up to {difference:.3g}.",
            next_command="torch.onnx.export(..., opset_version=20)   # where the model was made",
        )


def _run(model: onnx.ModelProto, name: str, inputs: NDArray[np.float32]) -> NDArray[np.float32]:
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3  # errors only: an old opset is why we are here
    session = onnxruntime.InferenceSession(
        model.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )
    logits: NDArray[np.float32] = session.run(None, {name: inputs})[0]
    return logits
