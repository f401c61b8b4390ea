"""What a classifier takes and gives, read from its graph; what is none is refused."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import onnx
from onnx import shape_inference

from toolkit.activation_map import has_activation_map
from toolkit.errors import ModelError
from toolkit.shell import quoted

__all__ = ["Signature", "signature_of"]

_FLOATS = {onnx.TensorProto.FLOAT: "float32", onnx.TensorProto.FLOAT16: "float16"}


@dataclass(frozen=True)
class Signature:
    """What goes in and what comes out: (N, C, H, W) with N = 0 for a dynamic batch, (N, classes).

    `input_type` and `output_type` are "float32" or "float16". `activation_map` names the second
    output, "" where there is none.
    """

    input_name: str
    input_shape: tuple[int, int, int, int]
    input_type: str
    output_name: str
    classes: int
    output_type: str
    activation_map: str = ""


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
    if len(outputs) != 1 and not has_activation_map(model):
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
        if shape[3] in (1, 3):
            raise _channels_last(where, inputs[0].name, shape)
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
        activation_map=outputs[1].name if len(outputs) > 1 else "",
    )


def _shape(value: onnx.ValueInfoProto) -> tuple[int, ...] | None:
    """Return the dimensions, 0 where they are symbolic or unknown; None without a rank."""
    if not value.type.tensor_type.HasField("shape"):
        return None
    return tuple(max(dim.dim_value, 0) for dim in value.type.tensor_type.shape.dim)


def _text(shape: tuple[int, ...] | None) -> str:
    if shape is None:
        return "of unknown rank"
    return "(" + ", ".join(str(size) if size else "?" for size in shape) + ")"


def _channels_last(where: Path, name: str, shape: tuple[int, ...]) -> ModelError:
    return ModelError(
        f"{where} takes its pictures as (N, H, W, C), as TensorFlow does: its input {name} is "
        f"{_text(shape)}.",
        next_command="python -m tf2onnx.convert --saved-model FOLDER --opset 17 "
        f"--inputs-as-nchw {quoted(name)} --output {quoted(where)}",
    )


def _not_a_classifier(where: Path, reason: str) -> ModelError:
    return ModelError(
        f"{where} is not a single-input image classifier: {reason}.",
        next_command=f"edgekit inspect {quoted(where)}",
    )
