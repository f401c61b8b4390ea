"""Graphs that a parser or builder refuses, or runs otherwise than meant."""

from __future__ import annotations

from toolkit.explain.rule import Rule

__all__ = ["RULES"]

_CALIBRATE = "edgekit calibrate FLOAT.onnx --images DIR --target NAME"
_BUILD = "edgekit build MODEL.onnx --target NAME"

RULES = (
    Rule(
        "operator-unknown",
        (
            r"No importer registered for op: (?P<op>\w+)\b(?!\. Attempting)",
            r"could not find plugin:? (?P<op>\w+)",
            r"Cannot find plugin: (?P<op>\w+), version",
        ),
        "This TensorRT has no operator or plugin {op}: a newer one may, or the model must be "
        "exported without it.",
        "edgekit inspect MODEL.onnx",
        "onnx-tensorrt documentation, Supported ONNX Operators",
    ),
    Rule(
        "zero-point",
        (
            r"[Nn]on-zero zero point is not supported",
            r"only supports symmetric quantization",
            r"shiftIsAllZeros\(zeroPoint\)",
        ),
        "The Q/DQ pairs have zero-points, as ONNX Runtime's quantizer writes them by default; "
        "TensorRT takes symmetric quantization only.",
        _CALIBRATE,
        "NVIDIA/TensorRT issue 2774; microsoft/onnxruntime issue 14229",
    ),
    Rule(
        "int32-bias",
        (r"input has type Int32 but must have type (?:FP8|Int8)",),
        "A bias is stored as int32 behind a DequantizeLinear; TensorRT wants biases in float.",
        _CALIBRATE,
        "microsoft/onnxruntime issue 17738, QuantizeBias",
    ),
    Rule(
        "uint8-activations",
        (r"UINT8 zero_point only on DLA",),
        "Activations are quantized to uint8: outside the DLA they are read as int8 and saturate.",
        _CALIBRATE,
        "TensorRT documentation, Working with Quantized Types",
    ),
    Rule(
        "input-type",
        (
            r"Unsupported ONNX data type: (?P<type>\w+)",
            r"Found invalid input type of (?P<type>\w+)",
        ),
        "The graph uses {type} where this TensorRT knows no such tensor: usually an input that "
        "takes raw pixels, or a TensorRT older than the exporter.",
        "edgekit import SOURCE --out model.onnx",
        "onnx-tensorrt documentation, Supported ONNX Operators: data types",
    ),
    Rule(
        "precision-flag",
        (r"precision has been set for .{0,24}layer or layer output, but (?P<flag>\w+) is not",),
        "The graph holds Q/DQ or half tensors and the builder was not told {flag}: before strong "
        "typing TensorRT needs INT8 and FP16 as flags.",
        "trtexec --onnx=MODEL.onnx --int8 --fp16 --saveEngine=ENGINE",
        "NVIDIA/TensorRT issue 4021, --fp16 with Q/DQ",
    ),
    Rule(
        "no-profile",
        (r"dynamic or shape inputs, but no optimization profile has been defined",),
        "The batch of the model is dynamic and the builder got no profile: it must know the "
        "smallest, usual and largest batch.",
        f"{_BUILD} --batch 1:4:8",
        "onnx-tensorrt issue 518; TensorRT documentation, Working with Dynamic Shapes",
    ),
    Rule(
        "shape-outside-profile",
        (
            r"for tensor (?P<tensor>[^\s.]+) does not satisfy any optimization profiles",
            r"Static dimension mismatch while setting input shape for (?P<tensor>[^\s.]+)",
        ),
        "The input {tensor} was given a shape that the engine was not built for.",
        "edgekit inspect ENGINE",
        "TensorRT documentation, Working with Dynamic Shapes: optimization profiles",
    ),
    Rule(
        "address-missing",
        (r"ddress (?:or allocator )?is (?:not )?set for (?:in|out)put tensor (?P<tensor>[^\s.]+)",),
        "The program started the engine without memory for its tensor {tensor}.",
        "edgekit inspect ENGINE",
        "TensorRT documentation, Performing Inference: set_tensor_address",
    ),
    Rule(
        "onnx-too-new",
        (
            r"Unsupported model IR version: \d+, max supported IR version: \d+",
            r"Opset \d+ is under development and support for this is limited",
        ),
        "The ONNX file was written for a newer runtime than the one that reads it.",
        "edgekit export model.pt --opset 17 --out model.onnx",
        "ONNX documentation, Versioning: IR and opset versions of each release",
    ),
    Rule(
        "weights-file-missing",
        (
            r"Failed to open file: \S*\.(?:data|onnx_data|bin|weights?)\b",
            r"External data path (?:validation failed|does not exist)",
        ),
        "The weights lie in a second file beside the ONNX file, and that one was left behind.",
        "ls -l MODEL.onnx*",
        "ONNX documentation, External Data",
    ),
    Rule(
        "not-an-onnx-file",
        (r"Error parsing text-format \w+\.ModelProto", r"Protobuf parsing failed"),
        "The file is no ONNX model: cut off, a Git LFS pointer, or another format with its name.",
        "edgekit inspect MODEL.onnx",
        "microsoft/onnxruntime documentation, common errors: Protobuf parsing failed",
    ),
    Rule(
        "int64-weights",
        (r"generated with INT64 weights, while TensorRT does not natively support INT64",),
        "Harmless for classifiers: shape constants are cast to int32.",
        _BUILD,
        "onnx-tensorrt FAQ: INT64 weights",
        warning=True,
    ),
    Rule(
        "turing-fp32",
        (r"check_turing_op_compatibility",),
        "TensorRT-RTX refuses FP32 matrix products on Turing (SM 7.5): the graph must be FP16.",
        "edgekit import SOURCE --precision fp16 --out model.fp16.onnx",
        "TensorRT-RTX documentation, Support Matrix: Turing",
    ),
)
