"""Operators that the runtime does not have.

Source: `OnnxParser.supports_operator` of TensorRT-RTX 1.7.1 over all ONNX operators (a contract
test asks it again), and its refusal of dilated pooling. TensorRT 8.5, 8.6 and 10.1: the importers
in builtin_op_importers.cpp and onnxOpImporters.cpp of onnx-tensorrt at those releases; TensorRT
11 is taken to have what 10.1 has. QLinearConv and its kin are ONNX Runtime's own quantized format.
"""

from __future__ import annotations

from collections.abc import Iterator

import onnx

from calibration.nodes import attribute
from toolkit.lint.findings import Finding, refused
from toolkit.lint.runtimes import Runtime
from toolkit.lint.subject import Subject

__all__ = ["INTEGER_LAYERS", "NOT_IN_TENSORRT", "check"]

NOT_IN_TENSORRT = frozenset(
    {
        *("AffineGrid", "Bernoulli", "BitCast", "CumProd", "SwiGLU"),
        *("BitShift", "BitwiseAnd", "BitwiseNot", "BitwiseOr"),
        *("BitwiseXor", "CenterCropPad", "Col2Im", "Compress", "ConcatFromSequence"),
        *("ConvInteger", "DFT", "DeformConv", "Det", "DynamicQuantizeLinear", "ImageDecoder"),
        *("MatMulInteger", "MaxRoiPool", "MaxUnpool", "MelWeightMatrix", "Multinomial"),
        *("NegativeLogLikelihoodLoss", "Optional", "OptionalGetElement", "OptionalHasElement"),
        *("QLinearConv", "QLinearMatMul", "RegexFullMatch", "SequenceAt", "SequenceConstruct"),
        *("SequenceEmpty", "SequenceErase", "SequenceInsert", "SequenceLength", "SequenceMap"),
        *("SoftmaxCrossEntropyLoss", "SplitToSequence", "StringConcat", "StringNormalizer"),
        *("StringSplit", "TfIdfVectorizer", "Unique"),
    }
)
_MISSING_IN_10 = frozenset({"BlackmanWindow", "HammingWindow", "HannWindow", "STFT"})
_MISSING_IN_8_6 = _MISSING_IN_10 | {"CastLike", "Gelu", "Hardmax", "Mish"}
_MISSING_IN_8_5 = _MISSING_IN_8_6 | {"GroupNormalization", "IsInf", "LayerNormalization"}
_SINCE_10 = frozenset({"DeformConv"})
INTEGER_LAYERS = ("QLinearConv", "QLinearMatMul", "ConvInteger", "MatMulInteger", "QGemm")
"""Layers that are integers by name: a graph quantized in ONNX Runtime's operator format."""


def check(subject: Subject, runtime: Runtime) -> Iterator[Finding]:
    """Yield the nodes of operators that are foreign, or missing in the runtime."""
    for node in subject.graph.nodes:
        if node.domain not in ("", "ai.onnx"):
            if not (node.domain.startswith("com.microsoft") and not runtime.is_tensorrt):
                yield refused(
                    node.name,
                    f"{node.domain}::{node.op_type} is no operator of the ONNX standard.",
                    "export the model without custom operators.",
                )
        elif runtime.is_tensorrt:
            yield from _in_tensorrt(node, runtime)


def _missing(runtime: Runtime) -> frozenset[str]:
    if runtime.family == "tensorrt-rtx":
        return NOT_IN_TENSORRT
    if runtime.tensorrt >= (10,):
        return (NOT_IN_TENSORRT | _MISSING_IN_10) - _SINCE_10
    older = _MISSING_IN_8_6 if runtime.tensorrt >= (8, 6) else _MISSING_IN_8_5
    return NOT_IN_TENSORRT | older


def _in_tensorrt(node: onnx.NodeProto, runtime: Runtime) -> Iterator[Finding]:
    if node.op_type in _missing(runtime):
        integer = node.op_type in (*INTEGER_LAYERS, "DynamicQuantizeLinear")
        yield refused(
            node.name,
            f"{runtime.title} has no operator {node.op_type}.",
            "quantize with Q/DQ pairs instead (QuantFormat.QDQ in ONNX Runtime's quantizer)."
            if integer
            else "replace it in the network, or move it out of the engine.",
        )
    elif node.op_type == "MaxPool" and any(n != 1 for n in attribute(node, "dilations", [])):
        yield refused(
            node.name,
            f"its pooling window has dilations {list(attribute(node, 'dilations'))}; "
            f"{runtime.title} takes 1 only.",
            "use a pooling window without dilation.",
        )
