"""Read what TensorRT's engine inspector says in JSON: which layers run in which type.

The keys are those that TensorRT 8.5 to 10.16 write for engines built with detailed verbosity:
`Layers`, each with `Name`, `LayerType`, `ParameterType`, `Inputs` and `Outputs` (with
`Format/Datatype`), `Weights` and `TacticName`. Plain text in, records out.
"""

from __future__ import annotations

import json
import re
from collections.abc import Collection
from typing import Any

from toolkit.build.layer_table import LayerRow, LayerTable

__all__ = ["layers_from_inspector"]

_TYPE = re.compile(r"\b(Int8|Int4|FP8|FP16|Half|BF16|FP32|Float|Int32|Int64|Bool)\b", re.IGNORECASE)
_ONNX = re.compile(r"\[ONNX Layer: ([^\]]*)\]")
_SPELLED = {"fp16": "Half", "half": "Half", "fp32": "Float", "float": "Float", "int8": "Int8"}


def layers_from_inspector(text: str, *, convolutions: Collection[str]) -> LayerTable:
    """Return the layers in `text`; none when it is no JSON or names only layers, without types.

    `convolutions` are the ONNX names: a layer that fuses one with others is that convolution's.
    """
    try:
        layers = json.loads(text).get("Layers", [])
    except (ValueError, AttributeError):
        return LayerTable(())
    rows = (_row(layer, set(convolutions)) for layer in layers if isinstance(layer, dict))
    return LayerTable(tuple(rows))


def _row(layer: dict[str, Any], convolutions: set[str]) -> LayerRow:
    kind = str(layer.get("LayerType", ""))
    # In LayerRow's words, which are TensorRT-RTX's.
    if layer.get("ParameterType") in ("Convolution", "Deconvolution") or "Conv" in kind:
        kind = "correlation"
    elif "gemm" in kind.lower() or "MatrixMultiply" in kind:
        kind = "gemm"
    weights = layer.get("Weights")
    types = (_type(str(weights.get("Type", ""))),) if isinstance(weights, dict) else ()
    if not types and "i8i8" in str(layer.get("TacticName", "")):
        types = ("Int8",)  # fused convolutions name their weights only in the tactic
    name = str(layer.get("Name", ""))
    # TensorRT 8 writes no metadata: its layers are named after the nodes, "conv1 + relu1".
    nodes = _ONNX.findall(str(layer.get("Metadata", ""))) or name.split(" + ")
    return LayerRow(
        name=name,
        kind=kind,
        inputs=_types(layer.get("Inputs")),
        constants=types,
        outputs=_types(layer.get("Outputs")),
        onnx_nodes=tuple(sorted(nodes, key=lambda node: node not in convolutions)),
    )


def _types(tensors: Any) -> tuple[str, ...]:
    if not isinstance(tensors, list):
        return ()
    return tuple(_type(str(each.get("Format/Datatype", ""))) for each in tensors)


def _type(text: str) -> str:
    match = _TYPE.search(text)
    return _SPELLED.get(match[1].lower(), match[1]) if match else text
